"""The example of 40 lines, as a user would run it."""

from conftest import ROOT

SCRIPT = ROOT / "python" / "examples" / "digits.py"


def test_the_example_reaches_96_percent(run_script):
    result = run_script(f"import runpy; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')")
    assert result.returncode == 0, result.stderr
    accuracy = float(result.stdout.split("accuracy")[-1].strip(" %\n"))
    assert accuracy >= 96.0, result.stdout
    assert len(SCRIPT.read_text().splitlines()) <= 40
