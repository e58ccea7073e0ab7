"""Dictionaries: the standard's as they are installed, and a venue's over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fix.dictionary import VERSIONS, DictionaryError, load

A_VENUE = """
<fix type='FIX' major='4' minor='4'>
 <header><field name='VenueRoute' required='N'/></header>
 <messages>
  <message name='NewOrderSingle' msgtype='D' msgcat='app'>
   <field name='SelfTradeGuard' required='Y'/>
   <group name='NoNotes' required='N'><field name='Note' required='Y'/></group>
  </message>
  <message name='MassCancelOnDisconnect' msgtype='U7' msgcat='app'><field name='Account' required='Y'/></message>
 </messages>
 <fields>
  <field number='9001' name='SelfTradeGuard' type='CHAR'><value enum='N' description='NEWEST'/></field>
  <field number='9002' name='VenueRoute' type='STRING'/>
  <field number='100009' name='NoNotes' type='NUMINGROUP'/>
  <field number='100010' name='Note' type='STRING'/>
  <field number='40' name='OrdType' type='CHAR'><value enum='z' description='VENUE_PEG'/></field>
 </fields>
</fix>
"""


@pytest.fixture
def a_venue(tmp_path: Path) -> Path:
    path = tmp_path / "venue.xml"
    path.write_text(A_VENUE)
    return path


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_has_a_header_a_trailer_and_a_logon(version: str) -> None:
    dictionary = load(version)
    assert dictionary.header.required == (8, 9, 34, 35, 49, 52, 56)
    assert 10 in dictionary.trailer.tags
    logon = dictionary.message("A")
    assert logon is not None
    assert logon.admin
    assert 108 in logon.body.required


def test_a_component_is_spelled_out_where_it_is_used() -> None:
    order = load("FIX.4.4").message("D")
    assert order is not None
    assert {55, 38, 453} <= order.body.tags
    assert order.body.required == (11, 40, 54, 60)


def test_groups_within_groups() -> None:
    order = load("FIX.4.4").message("D")
    assert order is not None
    parties = order.body.groups[453]
    assert parties.first == 448
    assert parties.groups[802].tags == {523, 803}


def test_fields_have_names_types_and_values() -> None:
    dictionary = load("FIX.4.4")
    assert dictionary.fields[38].name == "OrderQty"
    assert dictionary.fields[38].type == "QTY"
    assert dictionary.fields[54].values["1"] == "BUY"
    assert dictionary.tags["ClOrdID"] == 11


def test_fix_5_has_the_messages_of_the_session_too() -> None:
    dictionary = load("FIX.5.0SP2")
    assert dictionary.message("A") is not None
    assert dictionary.message("D") is not None
    assert load("FIXT.1.1").message("D") is None


def test_a_venues_tags_messages_groups_and_values_go_over_the_standards(a_venue: Path) -> None:
    dictionary = load("FIX.4.4", a_venue)
    order, own = dictionary.message("D"), dictionary.message("U7")
    assert order is not None
    assert own is not None
    assert order.body.required == (11, 40, 54, 60, 9001)
    assert order.body.groups[100009].required == (100010,)
    assert own.body.tags == {1}
    assert 9002 in dictionary.header.tags
    assert dictionary.fields[40].values["z"] == "VENUE_PEG"
    assert "1" in dictionary.fields[40].values
    assert 9001 not in load("FIX.4.4").fields, "the standard's own is as it was"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "<fix><messages><message name='M' msgtype='U1'><field name='Nix'/></message></messages></fix>",
            "'Nix'",
        ),
        (
            "<fix><messages><message name='M' msgtype='U1'><component name='C'/></message></messages></fix>",
            "'C'",
        ),
        ("<fix><fields><field number='x' name='F'/></fields></fix>", "'F' has the number 'x'"),
        ("<fix><fields><field number='1'/></fields></fix>", "no name"),
        ("<fix>", "no element found"),
        (
            "<fix><messages><message name='M' msgtype='U1'><component name='C'/></message></messages>"
            "<components><component name='C'><component name='C'/></component></components></fix>",
            "contains itself",
        ),
    ],
)
def test_a_file_that_can_not_be_meant_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.xml"
    path.write_text(text)
    with pytest.raises(DictionaryError, match=said):
        load("FIX.4.4", path)


def test_a_version_or_a_file_that_is_not_there() -> None:
    with pytest.raises(DictionaryError, match=r"FIX.6.0.*there are FIX.4.0"):
        load("FIX.6.0")
    with pytest.raises(DictionaryError, match="No such file"):
        load("FIX.4.4", Path("/nowhere.xml"))
