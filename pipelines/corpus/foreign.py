"""Words of other languages by synthetic speakers: what a recognizer of English commands should not take for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from base.types import STRICT, Seed
from features.splits import hash64
from pipelines.corpus import synthesis
from pipelines.corpus.synthesis import Speaker, Take

_LATIN: Final = (
    "af", "an", "az", "bs", "ca", "cs", "cy", "da", "eo", "et", "eu", "ga", "gd", "hr", "ht", "hu", "ia", "is",
    "it", "jbo", "ku", "la", "lt", "lv", "mi", "ms", "mt", "nb", "nl", "om", "pap", "pt", "pt-br", "ro",
    "sk", "sl", "sq", "sv", "tn", "uz", "vi",
)  # fmt: skip
_OTHER_SCRIPTS: Final = (
    "am", "ar", "be", "bg", "bn", "cmn", "el", "fa", "gu", "he", "hi", "hy", "ja", "ka", "kk", "kn", "ko", "ky", "mk",
    "ml", "mr", "my", "ne", "pa", "ru", "si", "sr", "ta", "te", "th", "uk", "ur",
)  # fmt: skip
_HELD_OUT: Final = """\
de: haus wasser straße kind brot licht schule garten fenster tisch vogel baum freund morgen abend nacht sonne regen
winter sommer bruder schwester mutter vater stadt land berg fluss feuer erde himmel stern

fr: maison eau rue enfant pain lumière école jardin fenêtre table oiseau arbre ami matin soir nuit soleil pluie hiver
été frère soeur mère père ville pays montagne fleuve feu terre ciel étoile

es: casa agua calle niño pan luz escuela jardín ventana mesa pájaro árbol amigo mañana tarde noche sol lluvia invierno
verano hermano hermana madre padre ciudad país montaña río fuego tierra cielo estrella

pl: dom woda ulica dziecko chleb światło szkoła ogród okno stół ptak drzewo przyjaciel rano wieczór noc słońce deszcz
zima lato brat siostra matka ojciec miasto kraj góra rzeka ogień ziemia niebo gwiazda

tr: ev su sokak çocuk ekmek ışık okul bahçe pencere masa kuş ağaç arkadaş sabah akşam gece güneş yağmur kış yaz kardeş
abla anne baba şehir ülke dağ nehir ateş toprak gök yıldız

fi: talo vesi katu lapsi leipä valo koulu puutarha ikkuna pöytä lintu puu ystävä aamu ilta yö aurinko sade talvi kesä
veli sisko äiti isä kaupunki maa vuori joki tuli multa taivas tähti

sw: nyumba maji barabara mtoto mkate mwanga shule bustani dirisha meza ndege mti rafiki asubuhi jioni usiku jua mvua
baridi joto kaka dada mama baba mji nchi mlima mto moto ardhi mbingu nyota

id: rumah air jalan anak roti cahaya sekolah kebun jendela meja burung pohon teman pagi sore malam matahari hujan
dingin panas abang adik ibu bapak kota negeri gunung sungai api tanah langit bintang
"""
HELD_OUT_WORDS: Final[Mapping[str, Sequence[str]]] = {
    language: words.split() for language, _, words in (each.partition(":") for each in _HELD_OUT.split("\n\n"))
}
"""Common words of eight languages, of which no training has a word or a voice."""

_NUMBERS: Final = (*range(21), *range(30, 101, 10))
"""Written in digits, which each voice reads in its own language."""

_ONSETS: Final = ("", "b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "st", "tr", "pl", "br")
_VOWELS: Final = "aeiou"
_CODAS: Final = ("", "", "", "n", "s", "r", "l", "t", "k", "m", "p")
_SYLLABLES: Final = (1, 1, 2, 2, 2, 3)

_README: Final = """\
# Synthetic words of other languages

{clips} clips of {words} words in {languages} languages ({named}), spoken by eSpeak NG as in the synthetic speech
commands: a folder LANGUAGE-WORD for each word, files named SPEAKER_nohash_NUMBER.wav, 16 kHz 16-bit mono WAV of at most
one second. {what} No person was recorded. Some sound like a word of English.

Made from the seed {seed}.
"""
_ABOUT_TRAINING: Final = (
    "The words are numbers, written in digits, and made-up words as each language would pronounce them."
)
_ABOUT_HELD_OUT: Final = "The words are common ones, in languages that the archive of foreign words for training lacks."


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Foreign:
    """How many synthetic speakers each language has, and how many words each of them says."""

    speakers: Annotated[int, Field(ge=1, le=100)]
    words: Annotated[int, Field(ge=1, le=len(_NUMBERS))]
    seed: Seed


def write_training_words(path: Path, settings: Foreign) -> None:
    """Write the words that training may use as a .tar.gz: the same bytes for the same arguments.

    Args:
        path: the file to write.
        settings: how many speakers and words, and the seed.

    Raises:
        DataError: eSpeak NG does not work on this machine.
    """
    languages = (*_LATIN, *_OTHER_SCRIPTS)
    _write(path, settings, {language: training_words(language, settings) for language in languages}, _ABOUT_TRAINING)


def write_held_out_words(path: Path, settings: Foreign) -> None:
    """Write the words that are kept for tests, likewise; each speaker says every word of its language."""
    _write(
        path, settings, {name: [words] * settings.speakers for name, words in HELD_OUT_WORDS.items()}, _ABOUT_HELD_OUT
    )


def training_words(language: str, settings: Foreign) -> list[list[str]]:
    """What each speaker of a language says: numbers, and in languages with Latin letters made-up words as often.

    Args:
        language: eSpeak's name of it.
        settings: how many speakers and words, and the seed.
    """
    return [
        list(_drawn(_generator(settings.seed, language, speaker, "words"), language in _LATIN, settings.words))
        for speaker in range(settings.speakers)
    ]


def _drawn(rng: np.random.Generator, latin: bool, count: int) -> Iterator[str]:
    made_up = count // 2 if latin else 0
    numbers = rng.permutation(len(_NUMBERS))[: count - made_up]
    yield from (str(_NUMBERS[index]) for index in numbers)
    found: set[str] = set(synthesis.WORDS)
    while made_up:
        word = made_up_word(rng)
        if len(word) > 1 and word not in found:
            found.add(word)
            made_up -= 1
            yield word


def made_up_word(rng: np.random.Generator) -> str:
    """One to three syllables, each a vowel between consonants or without."""
    return "".join(
        _ONSETS[rng.integers(len(_ONSETS))] + _VOWELS[rng.integers(len(_VOWELS))] + _CODAS[rng.integers(len(_CODAS))]
        for _ in range(_SYLLABLES[rng.integers(len(_SYLLABLES))])
    )


def _write(path: Path, settings: Foreign, spoken: Mapping[str, Sequence[Sequence[str]]], what: str) -> None:
    takes = dict(_takes(settings.seed, spoken))
    words = {take.word for own in takes.values() for take in own}
    readme = _README.format(
        clips=sum(map(len, takes.values())),
        words=len(words),
        languages=len(spoken),
        named=", ".join(spoken),
        what=what,
        seed=settings.seed,
    )
    synthesis.pack(path, takes, {"LICENSE": synthesis.LICENSE, "README.md": readme}, {}, settings.seed)


def _takes(seed: int, spoken: Mapping[str, Sequence[Sequence[str]]]) -> Iterator[tuple[Speaker, list[Take]]]:
    for language, speakers in spoken.items():
        for number, words in enumerate(speakers):
            speaker = synthesis.draw_foreign_speaker(language, number, seed)
            named = [(f"{language}-{word}", word) for word in words]
            yield speaker, [synthesis.draw_take(speaker, name, text, seed) for name, text in named]


def _generator(*names: str | int) -> np.random.Generator:
    return np.random.default_rng(hash64("foreign", *names))
