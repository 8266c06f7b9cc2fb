"""The format keeps every promise of the contract."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar

from ddpm_core.testing import FormatCapabilities, FormatConformance, Sample

FIRST = {"id": 1, "name": "Ä漢😀", "ok": True, "part": 0.5, "day": date(2020, 1, 2)}
SECOND = {"id": 2, "name": 'a "quoted", long\nname', "ok": False, "part": -0.5, "day": None}
HEADER = b"id,name,ok,part,day\n"
ONE = "1,Ä漢😀,true,0.5,2020-01-02\n".encode()
TWO = b'2,"a ""quoted"", long\nname",false,-0.5,\n'


class TestCsv(FormatConformance):
    plugin = "ddpm_csv.plugin"
    name = "csv"
    samples = (
        Sample(HEADER + ONE + TWO, [FIRST, SECOND]),
        Sample(HEADER + ONE + TWO[:-1], [FIRST, SECOND]),
        Sample(b"\xef\xbb\xbf" + HEADER + ONE.replace(b"\n", b"\r\n"), [FIRST]),
        Sample(HEADER + ONE + b"3,x\n\n" + TWO, [FIRST, SECOND], [(1, "field_count")], payloads=[]),
        Sample(HEADER + ONE + b'3,"x" y,true,1.5,\n' + TWO, [FIRST, SECOND], [(1, "csv_invalid")], payloads=[]),
        Sample(HEADER + ONE + b"3,\xff,true,1.5,\n" + TWO, [FIRST, SECOND], [(1, "encoding")], payloads=[]),
        Sample(
            HEADER + ONE + b'3,"x\n4,y,true,2.5,\n',
            [FIRST, {"id": 4, "name": "y", "ok": True, "part": 2.5}],
            [(1, "csv_invalid")],
            payloads=[],
        ),
        Sample(b"a\tb\n1\t2020-01-02 03:04:05\n", [{"a": 1, "b": datetime(2020, 1, 2, 3, 4, 5)}]),  # noqa: DTZ001
        Sample(b"a\x00b\n1\n", [], error="wrong_format", payloads=[]),
    )
    capabilities = FormatCapabilities(
        keeps_neighbours=True,
        cuts_at_batch_rows=True,
        streams=True,
        round_trip=("bool", "integers", "unsigned", "text", "date", "dictionary"),
        serializes_messages=False,  # A payload has no header, so it is read with header=false, as below.
    )

    def large_document(self) -> bytes:
        return HEADER + (ONE + TWO) * 180_000

    def grown_sample(self) -> Sample:
        return Sample(HEADER + ONE + TWO + ONE, [FIRST, SECOND, FIRST])


class TestCsvWithoutHeader(FormatConformance):
    plugin = "ddpm_csv.plugin"
    name = "csv"
    options: ClassVar = {"header": "false", "column_names": "id,name,ok,part,day", "delimiter": ",", "quote": '"'}
    samples = (
        Sample(ONE + TWO, [FIRST, SECOND], payloads=[ONE.strip(), TWO.strip()]),
        Sample(ONE + b"3,x\n" + TWO, [FIRST, SECOND], [(1, "field_count")], payloads=[ONE, b"3,x", TWO]),
    )
    capabilities = FormatCapabilities(keeps_neighbours=True, cuts_at_batch_rows=True, streams=True, serializes_messages=True)


class TestUtf16(FormatConformance):
    plugin = "ddpm_csv.plugin"
    name = "csv"
    options: ClassVar = {"encoding": "utf-16"}
    samples = (
        Sample((HEADER + ONE + TWO).decode().encode("utf-16"), [FIRST, SECOND]),
        Sample(b"\xfe\xff" + (HEADER + TWO + ONE).decode().encode("utf-16-be"), [SECOND, FIRST]),
    )
    capabilities = FormatCapabilities(cuts_at_batch_rows=True, streams=True, serializes_messages=False)

    def large_document(self) -> bytes:
        return (HEADER + (ONE + TWO) * 90_000).decode().encode("utf-16")
