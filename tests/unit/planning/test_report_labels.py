"""Where results stand in the report, and what a run says last."""

from types import SimpleNamespace

from fairdream.planning import report_labels
from fairdream.planning.closing_words import closing_words
from fairdream.reporting.html_page import PAGES


def test_a_label_says_what_sets_a_result_apart():
    names = {"dataset": "celeba", "bias": "0.999", "method": "lora"}
    assert report_labels.label("Audit", "Numbers")(names) == {"Audit": "Numbers · LoRA-finetuning · celeba · 0.999"}
    assert report_labels.label("Comparison")({**names, "group": "dark-male"}) == {
        "Comparison": "LoRA-finetuning · dark-male · celeba · 0.999"
    }
    assert report_labels.label("Audit", "Groups")({"dataset": "celeba"}) == {"Audit": "Groups · celeba"}


def test_a_run_s_results_at_one_bias_stand_together():
    assert report_labels.of_run(SimpleNamespace(dataset="celeba", bias="0.999")) == "celeba, bias 0.999"


def test_a_page_stands_where_its_table_says():
    for name, page in PAGES.items():
        own = SimpleNamespace(table=name)
        assert report_labels.page_category(own) == page.category
        assert report_labels.page_subcategory(own) == page.subcategory
        assert report_labels.page_label(own) == {page.kind: page.title}


def test_the_last_words_are_the_table_and_where_things_are(tmp_path):
    assert closing_words(str(tmp_path)) == ""
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/table1.md").write_text("| method |\n", encoding="utf-8")
    words = closing_words(str(tmp_path))
    assert words.startswith("\n| method |\n")
    assert f"Tables:   {tmp_path}/tables/table1.csv, .md, .tex\n" in words
    assert "fairdream report RUN" in words
