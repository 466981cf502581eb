"""Train report-gen models: recipes, data, optimization, engine, monitoring; see README.md in this folder."""
