/* Values there and back, at their extremes, and as text for the server's opinion. */
#include "unit/db/db_tables.h"

#include <cfloat>
#include <cmath>
#include <limits>

static void
round_trip(struct ctx *ctx, std::initializer_list<struct db_arg> args, struct t_types *ret)
{
    *ret = {};
    ASSERT_EQ(db_one(ctx, &sql_t_types, (db_args{args.begin(), args.size()}), REASON_NONE, ret), OK)
        << failure(ctx);
}

TEST(types, scalars_at_their_extremes)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct uuid u = {};
        memset(u.bytes, 0xff, sizeof(u.bytes));
        const char bytes[] = {'\0', '\xff', 'a', '\0'};
        struct t_types r;
        round_trip(ctx,
                   {db_bool(true), db_int2(INT16_MIN), db_int4(INT32_MIN), db_int8(INT64_MIN),
                    db_float4(FLT_MAX), db_float8(DBL_MAX), db_text("Ünïcödé ☃ 𝄞"),
                    db_bytea(bytes, sizeof(bytes)), db_uuid(&u), db_timestamptz(-1),
                    db_date(-719162), db_jsonb("{\"a\": [1, null]}")},
                   &r);
        EXPECT_TRUE(r.b && r.has_b);
        EXPECT_EQ(r.i2, INT16_MIN);
        EXPECT_EQ(r.i4, INT32_MIN);
        EXPECT_EQ(r.i8, INT64_MIN);
        EXPECT_EQ(r.f4, FLT_MAX);
        EXPECT_EQ(r.f8, DBL_MAX);
        EXPECT_STREQ(r.t, "Ünïcödé ☃ 𝄞");
        EXPECT_EQ(std::string(r.bytes.p, r.bytes.n), std::string(bytes, sizeof(bytes)));
        EXPECT_EQ(memcmp(r.u.bytes, u.bytes, 16), 0);
        EXPECT_EQ(r.ts, -1);
        EXPECT_EQ(r.d, -719162);
        EXPECT_STREQ(r.j, "{\"a\": [1, null]}");

        memset(u.bytes, 0, sizeof(u.bytes));
        round_trip(ctx,
                   {db_bool(false), db_int2(INT16_MAX), db_int4(INT32_MAX), db_int8(INT64_MAX),
                    db_float4(-std::numeric_limits<float>::infinity()), db_float8(DBL_TRUE_MIN),
                    db_text(""), db_bytea("", 0), db_uuid(&u), db_timestamptz(DB_INFINITY),
                    db_date(INT32_MAX), db_jsonb("null")},
                   &r);
        EXPECT_FALSE(r.b);
        EXPECT_TRUE(r.has_b);
        EXPECT_EQ(r.i2, INT16_MAX);
        EXPECT_EQ(r.i4, INT32_MAX);
        EXPECT_EQ(r.i8, INT64_MAX);
        EXPECT_TRUE(std::isinf(r.f4) && r.f4 < 0);
        EXPECT_EQ(r.f8, DBL_TRUE_MIN);
        EXPECT_STREQ(r.t, "");
        EXPECT_NE(r.bytes.p, nullptr) << "empty is not NULL";
        EXPECT_EQ(r.bytes.n, 0u);
        EXPECT_EQ(r.ts, DB_INFINITY);
        EXPECT_EQ(r.d, INT32_MAX);
        EXPECT_STREQ(r.j, "null");

        round_trip(ctx,
                   {db_bool(true), db_int2(0), db_int4(0), db_int8(0), db_float4(-0.0f),
                    db_float8(std::nan("")), db_text("x"), db_bytea("x", 1), db_uuid(&u),
                    db_timestamptz(-DB_INFINITY), db_date(-INT32_MAX), db_jsonb("1")},
                   &r);
        EXPECT_TRUE(std::signbit(r.f4));
        EXPECT_TRUE(std::isnan(r.f8));
        EXPECT_EQ(r.ts, -DB_INFINITY);
        EXPECT_EQ(r.d, -INT32_MAX);
    });
}

TEST(types, nulls)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct t_types r;
        round_trip(ctx,
                   {db_opt(false, db_bool(true)), db_null(DB_INT2), db_null(DB_INT4),
                    db_null(DB_INT8), db_null(DB_FLOAT4), db_null(DB_FLOAT8), db_text(NULL),
                    db_bytea(NULL, 0), db_uuid(NULL), db_null(DB_TIMESTAMPTZ), db_null(DB_DATE),
                    db_jsonb(NULL)},
                   &r);
        EXPECT_FALSE(r.has_b || r.has_i2 || r.has_i4 || r.has_i8 || r.has_f4 || r.has_f8 ||
                     r.has_u || r.has_ts || r.has_d);
        EXPECT_EQ(r.t, nullptr);
        EXPECT_EQ(r.bytes.p, nullptr);
        EXPECT_EQ(r.j, nullptr);
    });
}

TEST(types, instants_mean_the_same_on_both_sides)
{
    const db_setup setup = test_database();
    with_db(setup, [&](struct ctx *ctx) {
        static const struct {
            usec_t us;
            const char *text;
        } cases[] = {
            {0, "1970-01-01 00:00:00+00"},
            {INT64_C(1519571045678901), "2018-02-25 15:04:05.678901+00"},
            {INT64_C(-62135596800000000), "0001-01-01 00:00:00+00"},
            {INT64_C(253402300799999999), "9999-12-31 23:59:59.999999+00"},
        };
        pg().exec(name_of(setup), "CREATE TABLE seen (ts timestamptz, d date)");
        for (const auto &c : cases) {
            struct t_types r;
            round_trip(ctx,
                       {db_null(DB_BOOL), db_null(DB_INT2), db_null(DB_INT4), db_null(DB_INT8),
                        db_null(DB_FLOAT4), db_null(DB_FLOAT8), db_null(DB_TEXT), db_null(DB_BYTEA),
                        db_null(DB_UUID), db_timestamptz(c.us), db_null(DB_DATE),
                        db_null(DB_JSONB)},
                       &r);
            EXPECT_EQ(r.ts, c.us);
            char usec[32];
            snprintf(usec, sizeof(usec), "%lld", static_cast<long long>(c.us));
            EXPECT_EQ(
                pg().value(name_of(setup), std::string("SELECT (extract(epoch FROM timestamptz '") +
                                               c.text + "') * 1000000)::bigint"),
                usec);
        }
        /* Out of the server's range: its refusal, not a wrapped number. */
        struct t_types r = {};
        EXPECT_EQ(
            db_one(ctx, &sql_t_types,
                   DB_ARGS(db_null(DB_BOOL), db_null(DB_INT2), db_null(DB_INT4), db_null(DB_INT8),
                           db_null(DB_FLOAT4), db_null(DB_FLOAT8), db_null(DB_TEXT),
                           db_null(DB_BYTEA), db_null(DB_UUID), db_timestamptz(INT64_MIN + 2),
                           db_null(DB_DATE), db_null(DB_JSONB)),
                   REASON_NONE, &r),
            INVALID_ARGUMENT)
            << failure(ctx);
        fail_clear(ctx);
    });
}

TEST(types, arrays_there_and_back)
{
    with_db(test_database(), [](struct ctx *ctx) {
        const bool b[] = {true, false, true};
        const int16_t i2[] = {INT16_MIN, 0, INT16_MAX};
        const int32_t i4[] = {INT32_MIN, 0, INT32_MAX};
        const int64_t i8[] = {INT64_MIN, 0, INT64_MAX};
        const float f4[] = {-1.5f, 0, FLT_MAX};
        const double f8[] = {-1.5, DBL_MIN, INFINITY};
        const char *const t[] = {"", "\"quoted\", {braces}\\", "ü"};
        const struct str bytes[] = {{"", 0}, {"\0\1", 2}, {"x", 1}};
        struct uuid u[3] = {};
        u[2].bytes[15] = 9;
        const usec_t ts[] = {0, 1, DB_INFINITY};
        const int32_t d[] = {-1, 0, 20000};
        const char *const j[] = {"1", "\"two\"", "{\"three\": 3}"};
        struct t_arrays r = {};
        ASSERT_EQ(
            db_one(ctx, &sql_t_arrays,
                   DB_ARGS(db_bool_array(b, 3), db_int2_array(i2, 3), db_int4_array(i4, 3),
                           db_int8_array(i8, 3), db_float4_array(f4, 3), db_float8_array(f8, 3),
                           db_text_array(const_cast<char *const *>(t), 3), db_bytea_array(bytes, 3),
                           db_uuid_array(u, 3), db_timestamptz_array(ts, 3), db_date_array(d, 3),
                           db_jsonb_array(const_cast<char *const *>(j), 3)),
                   REASON_NONE, &r),
            OK)
            << failure(ctx);
        for (const struct db_array *a :
             {&r.b, &r.i2, &r.i4, &r.i8, &r.f4, &r.f8, &r.t, &r.bytes, &r.u, &r.ts, &r.d, &r.j}) {
            EXPECT_EQ(a->n, 3u);
            EXPECT_EQ(a->nulls, nullptr);
        }
        for (size_t i = 0; i < 3; i++) {
            EXPECT_EQ(r.b.bools[i], b[i]);
            EXPECT_EQ(r.i2.int2s[i], i2[i]);
            EXPECT_EQ(r.i4.int4s[i], i4[i]);
            EXPECT_EQ(r.i8.int8s[i], i8[i]);
            EXPECT_EQ(r.f4.float4s[i], f4[i]);
            EXPECT_EQ(r.f8.float8s[i], f8[i]);
            EXPECT_STREQ(r.t.texts[i], t[i]);
            EXPECT_TRUE(str_eq(r.bytes.bytes[i], bytes[i]));
            EXPECT_EQ(memcmp(&r.u.uuids[i], &u[i], 16), 0);
            EXPECT_EQ(r.ts.int8s[i], ts[i]);
            EXPECT_EQ(r.d.int4s[i], d[i]);
            EXPECT_STREQ(r.j.texts[i], j[i]);
        }
    });
}

TEST(types, arrays_that_are_empty_large_or_hold_nulls)
{
    with_db(test_database(), [](struct ctx *ctx) {
        std::vector<int64_t> many(200000);
        for (size_t i = 0; i < many.size(); i++)
            many[i] = static_cast<int64_t>(i) * 3;
        const bool nulls[] = {false, true};
        const double f8[] = {1, 2};
        const char *const t[] = {NULL, "x"}; /* a NULL pointer is a NULL */
        struct t_arrays r = {};
        ASSERT_EQ(
            db_one(ctx, &sql_t_arrays,
                   DB_ARGS(db_bool_array(NULL, 0), db_int2_array(NULL, 0), db_int4_array(NULL, 0),
                           db_int8_array(many.data(), many.size()), db_float4_array(NULL, 0),
                           db_array_of(DB_FLOAT8_ARRAY, f8, nulls, 2),
                           db_text_array(const_cast<char *const *>(t), 2), db_bytea_array(NULL, 0),
                           db_uuid_array(NULL, 0), db_timestamptz_array(NULL, 0),
                           db_date_array(NULL, 0), db_jsonb_array(NULL, 0)),
                   REASON_NONE, &r),
            OK)
            << failure(ctx);
        EXPECT_EQ(r.b.n, 0u);
        EXPECT_NE(r.b.items, nullptr);
        ASSERT_EQ(r.i8.n, many.size());
        EXPECT_EQ(memcmp(r.i8.int8s, many.data(), many.size() * 8), 0);
        ASSERT_NE(r.f8.nulls, nullptr);
        EXPECT_FALSE(r.f8.nulls[0]);
        EXPECT_TRUE(r.f8.nulls[1]);
        EXPECT_EQ(r.f8.float8s[0], 1);
        EXPECT_EQ(r.t.texts[0], nullptr);
        EXPECT_STREQ(r.t.texts[1], "x");
        std::vector<bool> unused;
        std::vector<int64_t> too_many(DB_MAX_ARRAY + 1);
        struct db_arg args[12];
        for (int i = 0; i < 12; i++)
            args[i] = db_null(static_cast<enum db_type>(DB_BOOL_ARRAY + i));
        args[3] = db_int8_array(too_many.data(), too_many.size());
        EXPECT_EQ(db_one(ctx, &sql_t_arrays, (db_args{args, 12}), REASON_NONE, &r),
                  RESOURCE_EXHAUSTED);
        EXPECT_EQ(ctx->error.reason, REASON_TOO_LARGE);
        fail_clear(ctx);
    });
}
