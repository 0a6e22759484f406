"""Writes a C++ file that holds the bytes of chat.html.  Usage: embed.py chat.html chat_page.cc."""

import sys
from pathlib import Path


def main() -> None:
    """Write OUT, the definition of chat_page(), from the bytes of IN."""
    source, target = map(Path, sys.argv[1:3])
    data = source.read_bytes()
    rows = (data[i : i + 24] for i in range(0, len(data), 24))
    numbers = ",\n".join(",".join(str(byte) for byte in row) for row in rows)
    target.write_text(
        f"""// Made from {source.name} by embed.py; do not edit.
#include "needle/serve/http/chat_page.h"

namespace needle::serve::http {{
namespace {{
constexpr unsigned char kBytes[] = {{
{numbers}}};
}}  // namespace

std::string_view chat_page() {{ return {{reinterpret_cast<const char*>(kBytes), sizeof kBytes}}; }}

}}  // namespace needle::serve::http
"""
    )


if __name__ == "__main__":
    main()
