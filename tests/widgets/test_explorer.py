import pytest

from rlkit.widgets.explorer import Explorer


def picture(problem, N, seed, truth):
    return f"<b>{problem}, {N}, {seed}, {truth}</b>"


def explorer():
    return Explorer(picture, problem={"easy": 0, "hard": 1}, N=[100, 1_000], seed=range(5), truth=False)


def test_each_kind_of_knob_redraws():
    view = explorer()
    assert view.picture.value == "<b>0, 100, 0, False</b>"
    view.controls["problem"].label = "hard"
    view.controls["N"].value = 1_000
    view.controls["seed"].value = 4
    view.controls["truth"].value = True
    assert view.picture.value == "<b>1, 1000, 4, True</b>"
    assert view.values() == {"problem": 1, "N": 1_000, "seed": 4, "truth": True}


def test_every_control_has_its_label():
    assert [control.description for control in explorer().controls.values()] == ["problem", "N", "seed", "truth"]


def test_static_twin_says_where_the_knobs_stand():
    view = explorer()
    view.controls["problem"].label = "hard"
    page = view.to_html()
    assert "problem: hard, N: 100, seed: 0, truth: False" in page and "<b>1, 100, 0, False</b>" in page
    assert view._repr_mimebundle_()["text/html"] == page


def test_an_error_takes_the_place_of_the_picture_and_is_raised():
    view = Explorer(lambda N: f"<p>{1 / N}</p>", N=[1, 0])
    with pytest.raises(ZeroDivisionError):
        view.controls["N"].value = 0
    assert "ZeroDivisionError" in view.picture.value

    def hostile(N):
        if N:
            raise ValueError("<script>alert(1)</script>")
        return "fine"

    view = Explorer(hostile, N=[0, 1])
    with pytest.raises(ValueError, match="script"):
        view.controls["N"].value = 1
    assert "<script" not in view.picture.value and "&lt;script" in view.picture.value


def test_an_error_at_the_start_is_raised():
    with pytest.raises(ZeroDivisionError):
        Explorer(lambda N: str(1 / N), N=[0])


@pytest.mark.parametrize("knob", [[], {}, range(0), 3, "abc", None])
def test_a_knob_of_no_kind_is_refused(knob):
    with pytest.raises(ValueError, match=r"N=.*must be True or False, a range, a list or a dictionary"):
        Explorer(lambda N: "", N=knob)


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="draw='x'"):
        Explorer("x")


def test_start_says_where_a_knob_begins():
    view = Explorer(lambda N: f"{N}", start={"N": 2}, N=[1, 2])
    assert view.picture.value == "2"
    with pytest.raises(ValueError, match="start='M': must be one of 'N'"):
        Explorer(lambda N: f"{N}", start={"M": 2}, N=[1, 2])
