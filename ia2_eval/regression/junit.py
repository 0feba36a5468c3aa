"""Checks as JUnit XML, which CI systems show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from ia2_eval.regression.check import Check

NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML file may hold, such as the colours of an error message."""


def to_junit(suite: str, checks: Sequence[Check], seconds: float) -> bytes:
    """A regression is a failure; what cannot be told is an error, so that nobody takes it for a pass.

    Args:
        suite: name of the reference.
        checks: one test case each.
        seconds: that the rerun took.
    """
    counts = {
        "tests": len(checks),
        "failures": sum(check.verdict == "regression" for check in checks),
        "errors": sum(check.verdict == "cannot tell" for check in checks),
    }
    attributes = {name: str(count) for name, count in counts.items()} | {"time": f"{seconds:.1f}"}
    root = ElementTree.Element("testsuites", attributes)
    cases = ElementTree.SubElement(root, "testsuite", {"name": f"ia2-eval regress {suite}", **attributes})
    for check in checks:
        reason = NOT_XML.sub("?", check.reason)
        case = ElementTree.SubElement(cases, "testcase", {"classname": f"{suite}.{check.kind}", "name": check.name})
        if check.verdict == "pass":
            ElementTree.SubElement(case, "system-out").text = reason
        else:
            tag = "failure" if check.verdict == "regression" else "error"
            ElementTree.SubElement(case, tag, {"message": reason, "type": check.verdict})
    ElementTree.indent(root)
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"
