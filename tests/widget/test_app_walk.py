"""The way through the images: the next that passes, and what is tried where one is broken."""

from segwidget.widget.app_walk import Walk


def walk(keys="abcdef", passing="abcdef"):
    made = Walk()
    made.over(tuple(keys), tuple(passing))
    return made


def test_neighbors_are_those_that_pass():
    made = walk(passing="ace")
    assert (made.beside("c", 1), made.beside("c", -1)) == ("e", "a")
    assert (made.beside("e", 1), made.beside("a", -1)) == (None, None)
    assert (made.beside("d", 1), made.beside("d", -1)) == ("e", "c")  # which does not pass itself
    assert made.beside("f", 1) is None
    assert made.beside("gone", 1) == made.beside(None, -1) == "a"
    assert walk(passing="").beside("a", 1) is None


def test_what_comes_lies_in_the_direction_that_was_taken():
    made = walk()
    assert made.coming("c", 2) == ["c", "d", "e", "b"]
    assert made.coming("e", 3) == ["e", "f", "d"]
    assert made.coming("a", 1) == ["a", "b"]
    assert made.coming("c", 0) == []
    made.turn(-1)
    assert made.coming("c", 2) == ["c", "b", "a", "d"]


def test_whoever_goes_on_skips_what_is_broken_and_whoever_has_chosen_it_stays():
    made = walk("abc", "abc")
    made.turn(1)
    assert [made.after_failure("a"), made.after_failure("b")] == ["b", "c"]
    assert made.failures == 2
    made.arrive()
    assert made.failures == 0
    assert made.after_failure("c") is None
    made.jump()
    assert made.after_failure("a") is None


def test_where_all_are_broken_it_ends():
    made = walk("ab", "ab")
    made.turn(1)
    tried = [made.after_failure("a") for _ in range(4)]
    assert tried == ["b", "b", None, None]
