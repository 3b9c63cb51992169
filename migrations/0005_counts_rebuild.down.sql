DROP FUNCTION luna_counts_rebuild(bigint, integer, integer);
