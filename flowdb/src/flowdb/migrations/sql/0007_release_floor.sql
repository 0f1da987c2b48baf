-- A floor that is raised withdraws what was released under a lower one, so each released result says by which it was judged.
-- Null: not released, or released before this was written down, when it was certainly 15 or more.
ALTER TABLE engine.jobs ADD COLUMN floor integer;
