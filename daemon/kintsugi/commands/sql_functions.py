"""
The functions of PostgreSQL that only read, by name: those of `pg_catalog` that compute, or that describe the server.

Each of them exists, may be called by every role, and is not volatile unless `VOLATILE` names it; a test asks a real
server. Left out are functions that act, wait, lock, read files, send, or run text as SQL (`query_to_xml`).
"""

_STATE = """
    clock_timestamp timeofday random pg_is_in_recovery pg_is_wal_replay_paused pg_get_wal_replay_pause_state
    pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_current_wal_lsn
    pg_current_wal_insert_lsn pg_current_wal_flush_lsn pg_blocking_pids pg_safe_snapshot_blocking_pids
    pg_database_size pg_relation_size pg_table_size pg_indexes_size pg_total_relation_size pg_tablespace_size
    pg_sequence_last_value
"""
VOLATILE = frozenset(_STATE.split())
"""Functions that are volatile only because they read the server's state."""

_AGGREGATES = """
    array_agg avg bit_and bit_or bool_and bool_or corr count covar_pop covar_samp cume_dist dense_rank every first_value
    json_agg json_object_agg jsonb_agg jsonb_object_agg lag last_value lead max min mode nth_value ntile percent_rank
    percentile_cont percentile_disc rank regr_count regr_intercept regr_slope row_number stddev stddev_pop stddev_samp
    string_agg sum var_pop var_samp variance
"""
_NUMBERS = """
    abs acos asin atan atan2 cbrt ceil ceiling cos degrees div exp factorial floor gcd lcm ln log log10 mod pi power
    radians round sign sin sqrt tan trunc width_bucket
"""
_TEXTS = """
    ascii bit_length btrim char_length character_length chr concat concat_ws convert_from convert_to decode encode format
    initcap left length lower lpad ltrim md5 octet_length overlay position quote_ident quote_literal quote_nullable
    regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
    regexp_split_to_table regexp_substr repeat replace reverse right rpad rtrim sha224 sha256 sha384 sha512 split_part
    starts_with string_to_array string_to_table strpos substr substring to_char to_hex to_number translate upper
"""
_TIMES = """
    age date_bin date_part date_trunc extract isfinite justify_days justify_hours justify_interval make_date
    make_interval make_time make_timestamp make_timestamptz now statement_timestamp timezone to_date to_timestamp
    transaction_timestamp
"""
_STRUCTURES = """
    array_append array_cat array_dims array_length array_lower array_ndims array_position array_positions array_prepend
    array_remove array_replace array_to_json array_to_string array_upper cardinality generate_series generate_subscripts
    json_array_elements json_array_elements_text json_array_length json_build_array json_build_object json_each
    json_each_text json_extract_path json_extract_path_text json_object json_object_keys json_strip_nulls json_typeof
    jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each
    jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object jsonb_object_keys jsonb_path_exists
    jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_pretty jsonb_strip_nulls jsonb_typeof
    num_nonnulls num_nulls row_to_json to_json to_jsonb unnest
    isempty lower_inc lower_inf upper_inc upper_inf broadcast family host masklen netmask network
"""
_SERVER = """
    col_description current_database current_schema current_schemas current_setting format_type has_any_column_privilege
    has_column_privilege has_database_privilege has_function_privilege has_schema_privilege has_sequence_privilege
    has_table_privilege inet_client_addr inet_client_port inet_server_addr inet_server_port mxid_age obj_description
    pg_backend_pid pg_column_size pg_conf_load_time pg_current_snapshot pg_encoding_to_char pg_function_is_visible
    pg_get_constraintdef pg_get_expr pg_get_functiondef pg_get_indexdef pg_get_partkeydef pg_get_serial_sequence
    pg_get_userbyid pg_get_viewdef pg_has_role pg_index_column_has_property pg_postmaster_start_time
    pg_relation_filenode pg_size_bytes pg_size_pretty pg_snapshot_xip pg_snapshot_xmax pg_snapshot_xmin
    pg_stat_get_numscans pg_table_is_visible pg_type_is_visible pg_typeof pg_wal_lsn_diff pg_walfile_name
    shobj_description to_regclass to_regnamespace to_regproc to_regrole to_regtype txid_current_snapshot version
"""

FUNCTIONS = VOLATILE.union(*(each.split() for each in (_AGGREGATES, _NUMBERS, _TEXTS, _TIMES, _STRUCTURES, _SERVER)))
