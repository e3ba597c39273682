"""Tables that a spreadsheet opens."""

from __future__ import annotations

import pandas as pd

from anogan.files import no_formula, without_formulas


def test_no_text_of_a_table_is_a_formula_and_numbers_stay_as_they_are() -> None:
    table = pd.DataFrame(
        {"=cmd": ["@a", "-1.5", "b"], "flow": [-1.0, float("nan"), 2.0], "+x": ["-a 90 %", None, "=1+1"]}
    )
    shown = without_formulas(table)
    assert shown.columns.tolist() == ["'=cmd", "flow", "'+x"]
    assert shown["'=cmd"].tolist() == ["'@a", "-1.5", "b"]
    assert shown["'+x"].dropna().tolist() == ["'-a 90 %", "'=1+1"]
    assert shown["flow"].equals(table["flow"])
    assert [no_formula(text) for text in ("\t=1", "a=1", "", "-1e3")] == ["'\t=1", "a=1", "", "-1e3"]
