"""The history of the database's tables, for alembic: one file a step in `versions/`, never edited once
released.

To look at the SQL of all steps: `python -c "from services.database import upgrade_sql;
print(upgrade_sql(None))"`.
"""
