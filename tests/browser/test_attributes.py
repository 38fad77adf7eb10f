"""Labels with keys and attributes as a person uses them: choose, keep, select, describe."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import OpenNotebook

CELL = """
from skimage.data import cat
from segwidget import Label, LabelSet, Segmenter
from segwidget.annotation.ontology import Attribute

state = Attribute("state", "choice", ("awake", "<b>asleep</b>"))
seg = Segmenter(
    cat(),
    labels=LabelSet(
        (
            Label("animal", "#f80", attributes=(state, Attribute("note"))),
            Label("cat", "#e5484d", "b", (Attribute("age", "number"), Attribute("cut off", "tag"),
                  Attribute("seen", "tag", ("tail", "paws", "ears"))), "animal"),
        )
    ),
)
seg
"""


def test_a_mask_is_labeled_by_a_key_and_described(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([CELL])
    stage.click(235, 120)
    stage.press("b")
    expect(stage.part("label-chip").nth(1)).to_have_attribute("aria-checked", "true")
    stage.press("Enter")
    stage.part("select-row").click()
    fields = stage.part("attributes").get_by_test_id("attribute")
    expect(fields).to_have_count(7)
    fields.nth(0).fill("3.5")
    fields.nth(0).press("Enter")
    fields.nth(1).check()
    fields.nth(3).check()
    fields.nth(5).select_option("<b>asleep</b>")
    fields.nth(6).fill("<i>x</i> b")
    fields.nth(6).press("Enter")
    # Fields that are made anew show what the kernel has sent.
    stage.part("select-row").click()
    expect(fields).to_have_count(0)
    stage.part("select-row").click()
    expect(fields.nth(6)).to_have_value("<i>x</i> b")
    expected = {
        "age": 3.5,
        "cut off": True,
        "seen": ["paws"],
        "state": "<b>asleep</b>",
        "note": "<i>x</i> b",
    }
    assert stage.kernel.eval("seg.annotations[0].to_dict()['attributes']") == expected
    expect(stage.part("attributes").locator("b, i")).to_have_count(0)
    stage.press("Control+z")
    expect(fields.nth(6)).to_have_value("")
