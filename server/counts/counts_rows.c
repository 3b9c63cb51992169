/* How rows become structs. */
#include "counts/counts.sql.h"
#include "counts/counts_private.h"

const struct db_col counts_space_row[] = {
    DB_COL(struct counts_space, space_id, DB_INT8),
    DB_COL(struct counts_space, name, DB_TEXT),
    DB_COL_NULLABLE(struct counts_space, capacity, DB_INT4),
    DB_COL_NULLABLE(struct counts_space, parent_id, DB_INT8),
    DB_COL(struct counts_space, time_zone, DB_TEXT),
    DB_COL(struct counts_space, created_at, DB_TIMESTAMPTZ),
    DB_COL(struct counts_space, updated_at, DB_TIMESTAMPTZ),
    DB_END,
};

const struct db_col counts_doorway_row[] = {
    DB_COL(struct counts_doorway, doorway_id, DB_INT8),
    DB_COL(struct counts_doorway, name, DB_TEXT),
    DB_COL(struct counts_doorway, ingress_space_id, DB_INT8),
    DB_COL_NULLABLE(struct counts_doorway, egress_space_id, DB_INT8),
    DB_COL(struct counts_doorway, created_at, DB_TIMESTAMPTZ),
    DB_COL(struct counts_doorway, updated_at, DB_TIMESTAMPTZ),
    DB_END,
};

const struct db_col counts_dpu_row[] = {
    DB_COL(struct counts_dpu, dpu_id, DB_INT4),
    DB_COL(struct counts_dpu, name, DB_TEXT),
    DB_COL(struct counts_dpu, serial, DB_TEXT),
    DB_COL(struct counts_dpu, created_at, DB_TIMESTAMPTZ),
    DB_COL(struct counts_dpu, updated_at, DB_TIMESTAMPTZ),
    DB_END,
};

const struct db_col counts_assignment_row[] = {
    DB_COL(struct counts_assignment, assignment_id, DB_INT8),
    DB_COL(struct counts_assignment, dpu_id, DB_INT4),
    DB_COL(struct counts_assignment, doorway_id, DB_INT8),
    DB_COL(struct counts_assignment, starts_at, DB_TIMESTAMPTZ),
    DB_COL(struct counts_assignment, ends_at, DB_TIMESTAMPTZ),
    DB_COL(struct counts_assignment, recorded_at, DB_TIMESTAMPTZ),
    DB_END,
};

const struct db_col counts_reading_row[] = {
    DB_COL(struct counts_reading, dpu_id, DB_INT8),
    DB_COL(struct counts_reading, at, DB_TIMESTAMPTZ),
    DB_COL(struct counts_reading, direction, DB_INT4),
    DB_COL_NULLABLE(struct counts_reading, event_id, DB_TEXT),
    DB_COL(struct counts_reading, tag, DB_INT4),
    DB_COL(struct counts_reading, received_at, DB_TIMESTAMPTZ),
    DB_END,
};

const struct db_col counts_holds_row[] = {
    DB_COL_NULLABLE(struct counts_holds, first, DB_INT8),
    DB_COL_NULLABLE(struct counts_holds, second, DB_INT8),
    DB_END,
};

const struct db_col counts_refused_row[] = {
    DB_COL_NULLABLE(struct counts_refused, place, DB_INT8),
    DB_COL_NULLABLE(struct counts_refused, outcome, DB_INT2),
    DB_END,
};

const struct db_col counts_announced_row[] = {
    DB_COL_NULLABLE(struct counts_announced, dpu_id, DB_INT4),
    DB_COL_NULLABLE(struct counts_announced, upto, DB_TIMESTAMPTZ),
    DB_END,
};

const struct db_col counts_value_row[] = {
    DB_COL_NULLABLE(struct counts_value, count, DB_INT8),
    DB_COL_NULLABLE(struct counts_value, entrances, DB_INT8),
    DB_COL_NULLABLE(struct counts_value, exits, DB_INT8),
    DB_COL_NULLABLE(struct counts_value, capacity, DB_INT4),
    DB_END,
};

const struct db_col counts_learned_row[] = {
    DB_COL(struct counts_learned, space_id, DB_INT8),
    DB_COL_NULLABLE(struct counts_learned, count, DB_INT8),
    DB_COL_NULLABLE(struct counts_learned, entrances, DB_INT8),
    DB_COL_NULLABLE(struct counts_learned, exits, DB_INT8),
    DB_COL_NULLABLE(struct counts_learned, capacity, DB_INT4),
    DB_COL_NULLABLE(struct counts_learned, snapshot, DB_TEXT),
    DB_END,
};

const struct db_col counts_part_row[] = {
    DB_COL_NULLABLE(struct counts_part, space_id, DB_INT8),
    DB_COL_NULLABLE(struct counts_part, dpu_id, DB_INT4),
    DB_COL_NULLABLE(struct counts_part, sign, DB_INT4),
    DB_COL_NULLABLE(struct counts_part, starts_at, DB_TIMESTAMPTZ),
    DB_COL_NULLABLE(struct counts_part, ends_at, DB_TIMESTAMPTZ),
    DB_END,
};

const struct db_col counts_pulse_row[] = {
    DB_COL_NULLABLE(struct counts_pulse, snapshot, DB_TEXT),
    DB_COL_NULLABLE(struct counts_pulse, floor, DB_INT8),
    DB_COL_OPT(struct counts_pulse, xid, DB_INT8, has_xid),
    DB_COL_OPT(struct counts_pulse, first_at, DB_TIMESTAMPTZ, has_first_at),
    DB_COL_NULLABLE(struct counts_pulse, last_at, DB_TIMESTAMPTZ),
    DB_COL_NULLABLE(struct counts_pulse, dpus, DB_INT4_ARRAY),
    DB_COL_NULLABLE(struct counts_pulse, ns, DB_INT2_ARRAY),
    DB_COL_NULLABLE(struct counts_pulse, nets, DB_INT2_ARRAY),
    DB_END,
};

const struct db_col counts_event_row[] = {
    DB_COL_NULLABLE(struct counts_event, at, DB_TIMESTAMPTZ),
    DB_COL_NULLABLE(struct counts_event, dpu_id, DB_INT4),
    DB_COL_NULLABLE(struct counts_event, tag, DB_INT4),
    DB_COL_NULLABLE(struct counts_event, delta, DB_INT4),
    DB_END,
};

const struct db_col counts_extent_row[] = {
    DB_COL_OPT(struct counts_extent, first_at, DB_TIMESTAMPTZ, has_first_at),
    DB_COL_OPT(struct counts_extent, seen_until, DB_TIMESTAMPTZ, has_seen_until),
    DB_END,
};

const struct db_col counts_edge_row[] = {
    DB_COL_NULLABLE(struct counts_edge, at, DB_TIMESTAMPTZ),
    DB_END,
};

const struct db_col counts_health_row[] = {
    DB_COL(struct counts_health, dpu_id, DB_INT4),
    DB_COL_OPT(struct counts_health, last_seen_at, DB_TIMESTAMPTZ, has_last_seen_at),
    DB_COL_OPT(struct counts_health, last_received_at, DB_TIMESTAMPTZ, has_last_received_at),
    DB_COL_NULLABLE(struct counts_health, recent, DB_INT8),
    DB_COL_NULLABLE(struct counts_health, outwards, DB_INT8),
    DB_COL_NULLABLE(struct counts_health, unassigned, DB_INT8),
    DB_COL_NULLABLE(struct counts_health, doorway_id, DB_INT8),
    DB_COL_NULLABLE(struct counts_health, outer, DB_BOOL),
    DB_END,
};

const struct db_col counts_calibration_row[] = {
    DB_COL(struct counts_calibration, space_id, DB_INT8),
    DB_COL(struct counts_calibration, at, DB_TIMESTAMPTZ),
    DB_COL(struct counts_calibration, count, DB_INT8),
    DB_COL(struct counts_calibration, deviation, DB_FLOAT8),
    DB_COL(struct counts_calibration, note, DB_TEXT),
    DB_COL(struct counts_calibration, recorded_at, DB_TIMESTAMPTZ),
    DB_END,
};

const struct db_col counts_value_at_row[] = {
    DB_COL_NULLABLE(struct counts_value_at, count, DB_INT8),
    DB_COL_NULLABLE(struct counts_value_at, entrances, DB_INT8),
    DB_COL_NULLABLE(struct counts_value_at, exits, DB_INT8),
    DB_COL_NULLABLE(struct counts_value_at, capacity, DB_INT4),
    DB_COL_NULLABLE(struct counts_value_at, horizon, DB_TIMESTAMPTZ),
    DB_COL_NULLABLE(struct counts_value_at, grain_seconds, DB_INT4),
    DB_END,
};

const struct db_col counts_step_row[] = {
    DB_COL_NULLABLE(struct counts_step, at, DB_TIMESTAMPTZ),
    DB_COL_NULLABLE(struct counts_step, entrances, DB_INT8),
    DB_COL_NULLABLE(struct counts_step, exits, DB_INT8),
    DB_END,
};

const struct db_col counts_known_point_row[] = {
    DB_COL_NULLABLE(struct counts_known_point, at, DB_TIMESTAMPTZ),
    DB_COL_NULLABLE(struct counts_known_point, known, DB_INT8),
    DB_COL_NULLABLE(struct counts_known_point, deviation, DB_FLOAT8),
    DB_COL_NULLABLE(struct counts_known_point, count, DB_INT8),
    DB_COL_NULLABLE(struct counts_known_point, passed, DB_INT8),
    DB_END,
};
