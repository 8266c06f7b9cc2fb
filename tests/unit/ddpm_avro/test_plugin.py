"""What the plugin hands over."""

from __future__ import annotations

import subprocess
import sys

from ddpm_avro import plugin
from ddpm_avro.options import AvroOptions
from ddpm_avro.parser import AvroParser
from ddpm_avro.serializer import AvroSerializer
from ddpm_core import BuildContext
from ddpm_core.plugin.specs import resolve


def test_the_spec_builds_a_parser_and_a_serializer() -> None:
    (spec,) = plugin.ddpm_formats()
    assert (spec.name, spec.suffixes, spec.magic) == ("avro", (".avro",), (b"Obj\x01",))
    assert spec.options_model() is AvroOptions
    assert isinstance(resolve(spec.parser)(AvroOptions(), BuildContext()), AvroParser)
    assert spec.serializer is not None
    assert isinstance(resolve(spec.serializer)(AvroOptions(), BuildContext()), AvroSerializer)


def test_every_option_is_described() -> None:
    assert all(field.description for field in AvroOptions.model_fields.values())


def test_the_spec_imports_nothing_heavy() -> None:
    code = "import sys, ddpm_avro.plugin as p; list(p.ddpm_formats()); print(sorted({'pyarrow', 'fastavro', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
