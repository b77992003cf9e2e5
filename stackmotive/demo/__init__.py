"""The demo: a made-up investor whose files are real in form and whose trades are at real closes of 2016 to 2022.

Nothing of the prices is part of StackMotive: they are fetched once, from a published package, into the data directory.
"""
