DROP FUNCTION luna_counts_parts_known;
DROP TRIGGER counts_doorway_kept ON counts_doorway;
DROP FUNCTION luna_counts_keep_doorway;
DROP TRIGGER counts_within_kept ON counts_within;
DROP FUNCTION luna_counts_keep_within;
DROP TABLE counts_doorway_was;
DROP TABLE counts_within_was;
ALTER TABLE counts_within DROP COLUMN since;
