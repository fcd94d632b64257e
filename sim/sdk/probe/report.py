"""What was checked, and what was found instead of what the documents promise."""

import contextlib
import traceback


class Report:
    def __init__(self):
        self.checks = 0
        self.total = 0
        self.wrong = []
        self.groups = 0
        self.failed = []

    @contextlib.contextmanager
    def group(self, name):
        """Prints one line for all checks within; an exception is one more thing that is wrong."""
        self.checks, self.wrong = 0, []
        try:
            yield
        except Exception as why:  # the other groups are to run all the same
            place = traceback.extract_tb(why.__traceback__)[-1]
            self.wrong.append(f"{place.filename.rsplit('/', 1)[-1]}:{place.lineno}: {type(why).__name__}: {why}")
        self.groups += 1
        self.total += self.checks
        print(f"{'FAIL' if self.wrong else 'ok':5}{name:12}{self.checks} checks")
        for line in self.wrong:
            print(f"     {line}")
        if self.wrong:
            self.failed.append(name)

    def same(self, what, found, expected):
        self.checks += 1
        if found != expected or type(found) is not type(expected):
            self.wrong.append(f"{what}: found {found!r}, expected {expected!r}")

    def holds(self, what, found, test, expected):
        """`test(found)`, which the text `expected` describes."""
        self.checks += 1
        try:
            fits = test(found)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError):
            fits = False
        if not fits:
            self.wrong.append(f"{what}: found {found!r}, expected {expected}")
