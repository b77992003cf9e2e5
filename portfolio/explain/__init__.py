"""Where a figure comes from: trees of operations down to ledger rows, prices and rates (DESIGN 5.11)."""

from portfolio.explain.questions import FIGURES, Question, explain
from portfolio.explain.tree import MOST_CHILDREN, Node, Ref

__all__ = ["FIGURES", "MOST_CHILDREN", "Node", "Question", "Ref", "explain"]
