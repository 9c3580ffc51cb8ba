"""`python -m tools.docs`: write the generated pages of `docs/`; `mkdocs build` makes the site."""

from tools.docs.reference import PAGES

for path, text in PAGES.items():
    path.write_text(text(), encoding="utf-8")
    print(path)
