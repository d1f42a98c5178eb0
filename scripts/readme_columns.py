"""Write the table of columns into README.md, from the schema that the code uses."""

from pathlib import Path

from nsd_imagery.dataset.card import column_table
from nsd_imagery.schema import BETAS, TRIAL_COLUMNS

START, END = "<!-- columns -->\n", "<!-- /columns -->"


def main() -> None:
    readme = Path(__file__).parent.parent / "README.md"
    before, _, rest = readme.read_text().partition(START)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{START}{column_table([*TRIAL_COLUMNS, BETAS])}\n{END}{after}")


if __name__ == "__main__":
    main()
