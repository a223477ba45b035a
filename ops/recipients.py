"""Writes the example CSV: ``python -m ops.recipients > examples/recipients.csv``. The same every time.

Four thousand people who do not exist, at domains that belong to nobody, and a few rows that are wrong in ways seen in
real exports.
"""

from __future__ import annotations

import csv
import io
import sys
import unicodedata
from random import Random

PEOPLE = 4_000
HEADER = ("email", "First name", "City", "Genre", "Points", "idempotency_key")

FIRST_NAMES = (
    "Ada Ágnes Aïcha Ali Amélie Ana Anders Andrea Anna Antonio Åsa Ayşe Beatriz Björn Brigid Camille Carla Chloë "
    "Clara Çağla Dagný Daniel Dara Diego Đorđe Eda Élodie Elif Emil Emma Erik Eva Farid Fátima Felix Finn Françoise "
    "Frida Gaël Giulia Greta Håkon Hana Hannah Helena Ines Inês Irène Iván Jana Jiří João Jonas José Jürgen Kaja "
    "Karin Katja Kenji Kostas Lars Laura Léa Leïla Lena Liam Lidia Linnéa Luca Lúcia Łukasz Mads Maja Małgorzata "
    "Marek María Mateus Matěj Mei Mia Mikael Milan Mira Mónica Nadia Naoko Niamh Niklas Nikolaj Noémie Nora Oisín "
    "Olga Øyvind Pablo Paula Petra Pia Rafael Renée Rosa Rúna Sanne Sara Saoirse Seán Simone Siobhán Šárka Søren "
    "Sofia Stella Tadeáš Tereza Thérèse Tomás Ugo Ulrike Valentina Vera Viktor Věra Wanda Yara Yusuf Zdeněk Zeynep "
    "Žofie Zoë"
)
LAST_NAMES = (
    "Almeida Andersen Ångström Bakker Barbosa Bauer Becker Bianchi Blažek Brennan Byrne Castaño Conti Costa Çelik "
    "Demir Dubois Dvořák Eriksen Esposito Fernández Ferrari Fischer Fontaine Garnier Gómez González Grünwald Haddad "
    "Hansen Hoffmann Horváth Ibáñez Ivarsson Jansen Johansson Kaya Kowalska Krüger Kučera Lefèvre Lindqvist López "
    "Marchetti Marić Martin Mészáros Moreau Müller Nagy Nielsen Novák Núñez O'Brien O'Neill Öztürk Papadopoulos "
    "Pereira Petrović Pospíšil Ribeiro Ricci Rossi Ruiz Sánchez Schäfer Schmidt Schröder Silva Şahin Sørensen "
    "Svobodová Szabó Tanaka Tóth Vacher Van-Dijk Vermeulen Virtanen Wagner Weiß Wiśniewski Yılmaz Zając Zieliński"
)
CITIES = (
    "Aarhus Antwerpen Basel Bergen Bilbao Bologna Brno Cádiz Cork Coimbra Delft Gdańsk Genève Graz Göteborg Győr "
    "İzmir Kraków Köln León Liège Linz Łódź Lyon Malmö München Nîmes Odense Orléans Plzeň Porto Poznań Split Tromsø "
    "Turku Zürich"
)
GENRES = ("crime", "travel", "poetry", "history", "science", "fantasy", "cookery", "biography", "graphic novels")
DOMAINS = (
    *("example.com",) * 12,
    *("example.org",) * 7,
    *("example.net",) * 7,
    *("mail.example.com", "post.example.org", "home.example.net"),
    # Internationalised domains go out in Punycode.
    *("bücher.example.com", "münchen.example.org", "łódź.example.net", "café.example.com", "日本.example.org"),
)

BAD_ROWS = {
    17: "anna.example.com,Anna,Basel,crime,120,{key}",
    # An address that tries to smuggle in a header.
    402: '"eve@example.com\nBcc: everyone@example.org",Eve,Cork,poetry,10,{key}',
    777: "zoë.müller@example.net,Zoë,Köln,history,80,{key}",
    1203: "tomas@exam ple.com,Tomás,Porto,travel,45,{key}",
    1204: ",Wanda,Łódź,science,15,{key}",
    2048: "luca@example.com,Luca,Bologna,fantasy",
    2750: '"Greta ""Gigi"" Bauer <greta@example.org,Greta,Linz,cookery,230,{key}',
    3333: "nobody@,Nora,Turku,crime,5,{key}",
}
"""Line among the people -> row."""

REPEATED = (500, 1500, 2500)
"""People whose row is there twice, with the same idempotency key: they get one message."""


def rows(random: Random) -> list[str]:
    """All rows after the header, as text."""
    written = []
    for number in range(1, PEOPLE + 1):
        key = f"autumn-{number:04d}"
        if number in BAD_ROWS:
            written.append(BAD_ROWS[number].format(key=key) + "\r\n")
        row = _person(random, number, key)
        written += [row, row] if number in REPEATED else [row]
    return written


def _person(random: Random, number: int, key: str) -> str:
    first, last = _word(random, FIRST_NAMES), _word(random, LAST_NAMES)
    local = f"{_ascii(first)}.{_ascii(last)}{number}"
    address = f"{local}@{random.choice(DOMAINS)}"
    if random.random() < 0.1:
        address = f"{first} {last} <{address}>" if random.random() < 0.5 else f'"{last}, {first}" <{address}>'
    return _line((address, first, _word(random, CITIES), random.choice(GENRES), str(random.randrange(0, 500, 5)), key))


def _word(random: Random, words: str) -> str:
    return random.choice(words.split())


def _ascii(name: str) -> str:
    for letter, plain in {"ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ł": "l", "Ł": "L", "ß": "ss", "ı": "i"}.items():
        name = name.replace(letter, plain)
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()


def _line(cells: tuple[str, ...]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def main() -> None:
    sys.stdout.reconfigure(newline="", encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write(_line(HEADER) + "".join(rows(Random(20261121))))


if __name__ == "__main__":
    main()
