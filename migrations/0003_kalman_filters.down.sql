DROP TABLE kalman_checkpoint;
DROP TABLE kalman_observation;
DROP TABLE kalman_filter;
