"""Facts: what two texts must share before their likeness counts."""

from __future__ import annotations

import pytest

from policies.caching.facts import GUARDS, facts_of, language_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Restart it.", "Do not restart it."),
        ("I can go.", "I can’t go."),
        ("Is it safe?", "Is it unsafe?"),
        ("Is the link valid?", "Is the link invalid?"),
        ("Add 3 eggs.", "Add 4 eggs."),
        ("Add three eggs.", "Add four eggs."),
        ("It costs 1,000.50 now.", "It costs 1,000.05 now."),
        ("On 2024-03-14.", "On 2024-03-15."),
        ("On Monday.", "On Tuesday."),
        ("Ask Alice, then Bob.", "Ask Bob, then Alice."),
        ("Call NASA.", "Call NATO."),
        ("Call getUser here.", "Call getuser here."),
        ("Explain `a - b`.", "Explain `b - a`."),
        ("Is x < y here?", "Is x > y here?"),
        ("Open /tmp/a.txt", "Open /tmp/A.txt"),
        ("Convert celsius to fahrenheit", "Convert fahrenheit to celsius"),
        ("Enable it.", "Disable it."),
        ("Wo ist der Bahnhof?", "Where is the station?"),
        ("Привет", "Hello there"),
    ],
)
def test_another_fact_differs(one: str, other: str) -> None:
    assert facts_of(one) != facts_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "how can i reset my password"),
        ("Please explain hash tables.", "Can you explain hash tables?"),
        ("I can't go.", "I can’t go."),
        ("Tell me about Berlin.", "What do you know about Berlin?"),
    ],
)
def test_small_words_are_no_facts(one: str, other: str) -> None:
    assert facts_of(one) == facts_of(other)


@pytest.mark.parametrize(
    ("guard", "one", "other"),
    [
        ("numbers", "Add 3 eggs.", "Add 4 eggs."),
        ("negation", "Restart it.", "Do not restart it."),
        ("names", "Ask Alice here.", "Ask Bertha here."),
        ("code", "Explain `a`.", "Explain `b`."),
        ("order", "Turn apples to pears", "Turn pears to apples"),
        ("language", "Wo ist der Bahnhof?", "Where is the station?"),
        ("words", "Paint the house", "Clean the house"),
    ],
)
def test_each_guard_can_be_switched_off(guard: str, one: str, other: str) -> None:
    everything = GUARDS | {"words"}
    assert facts_of(one, everything) != facts_of(other, everything)
    assert facts_of(one, frozenset({guard})) != facts_of(other, frozenset({guard}))
    assert facts_of(one, frozenset()) == facts_of(other, frozenset())


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the best way to do this?", "en"),
        ("Was ist die beste Art, das zu tun?", "de"),
        ("Quelle est la meilleure façon de faire cela ?", "fr"),
        ("¿Cuál es la mejor manera de hacer esto?", "es"),
        ("Как это сделать?", "cyrillic"),
        ("これはどうやってやりますか", "kana"),
        ("12345", "none"),
    ],
)
def test_the_language_is_guessed_alike(text: str, language: str) -> None:
    assert language_of(text) == language
