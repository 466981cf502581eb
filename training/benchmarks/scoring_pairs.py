"""Write predictions and references to measure the time and memory of `report-gen score`.

    python -m report_gen_training.benchmarks.scoring_pairs indiana_reports.csv FOLDER --pairs 100000
    /usr/bin/time -v report-gen score FOLDER/predictions.csv FOLDER/references.csv --no-java

Each text is made of sentences that are drawn from all reports of a table with the columns `findings` and `impression`,
as many as a drawn report has. Whole reports would be drawn repeatedly, and equal texts are labeled once.
"""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path

import numpy as np


def main() -> None:
    """Draw the texts of both sides with a fixed seed and write them as CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=100_000)
    arguments = parser.parse_args()
    with arguments.reports.open(encoding="utf-8", newline="") as file:
        texts = [f"{row['findings']} {row['impression']}".strip() for row in csv.DictReader(file)]
    reports = [re.split(r"(?<=[.])\s+", text) for text in texts if text]
    sentences = [sentence for report in reports for sentence in report if sentence]
    generator = np.random.default_rng(0)
    for side in ("predictions", "references"):
        with (arguments.folder / f"{side}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["study_id", "report"])
            for number in range(arguments.pairs):
                length = len(reports[generator.integers(len(reports))])
                drawn = generator.integers(len(sentences), size=length)
                writer.writerow([f"s{number}", " ".join(sentences[index] for index in drawn)])


if __name__ == "__main__":
    main()
