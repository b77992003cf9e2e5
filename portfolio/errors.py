"""What can be wrong with figures and rows by hand."""

from stackmotive.common.problems import Conflict, Invalid


class NotByHand(Conflict):
    code = "not_by_hand"
    title = "Only rows typed by hand can be changed"


class UnfitRow(Invalid):
    code = "unfit_row"
    title = "The row cannot be booked as it stands"
