DROP FUNCTION luna_quota_end_reservation, luna_quota_reserve, luna_quota_leave, luna_quota_beat,
    luna_quota_unreserve, luna_quota_alive, luna_quota_report, luna_quota_close, luna_quota_retire,
    luna_quota_settle, luna_quota_count, luna_quota_open, luna_quota_limits;
DROP TABLE quota_reservation, quota_usage, quota_reported, quota_report, quota_actor, quota_epoch;
DROP SEQUENCE quota_epoch_number;
