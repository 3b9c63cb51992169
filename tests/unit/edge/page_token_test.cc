#include <gtest/gtest.h>

#include "unit/run/run_test.h"

extern "C" {
#include "edge/page_token.h"
}

namespace
{
struct str
S(const std::string &s) {
    return {s.data(), s.size()};
}

class page_token : public testing::Test
{
  protected:
    struct arena a;
    struct ctx ctx;

    void SetUp() override
    {
        page_token_init(str_of("the secret of the tests"));
        arena_init(&a, 0);
        ctx_init(&ctx, &a, nullptr);
    }

    void TearDown() override
    {
        ctx_fini(&ctx);
        arena_fini(&a);
    }

    std::string make(const std::string &binding, const std::string &cursor)
    {
        return page_token_make(&a, S(binding), S(cursor));
    }

    std::string read(const std::string &token, const std::string &binding)
    {
        struct str cursor;
        if (!page_token_read(&a, S(token), S(binding), &cursor))
            return "!";
        return std::string(cursor.p, cursor.n);
    }
};
} // namespace

TEST_F(page_token, reads_what_it_made)
{
    for (size_t n = 0; n <= PAGE_TOKEN_MAX_CURSOR; n++) {
        std::string cursor;
        for (size_t i = 0; i < n; i++)
            cursor += static_cast<char>(i * 37);
        std::string token = make("list", cursor);
        EXPECT_EQ(read(token, "list"), cursor);
        EXPECT_EQ(token.find_first_not_of(
                      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                  std::string::npos);
    }
}

TEST_F(page_token, belongs_to_one_question)
{
    std::string token = make("accounts|name='a'", "42");
    EXPECT_EQ(read(token, "accounts|name='b'"), "!");
    EXPECT_EQ(read(token, "accounts"), "!");
    EXPECT_EQ(read(token, ""), "!");
    /* What is bound and what is the cursor cannot be shifted into each other. */
    EXPECT_EQ(read(make("ab", "c"), "a"), "!");
    page_token_init(str_of("another secret of 16"));
    EXPECT_EQ(read(token, "accounts|name='a'"), "!");
}

TEST_F(page_token, any_change_is_noticed)
{
    std::string token = make("list", "1234567");
    for (size_t i = 0; i < token.size(); i++) {
        for (char c : {'A', 'B', '-', '_', '9', '=', ' ', '\0', '\xff'}) {
            std::string changed = token;
            changed[i] = c;
            if (changed != token) {
                EXPECT_EQ(read(changed, "list"), "!") << i;
            }
        }
        EXPECT_EQ(read(token.substr(0, i), "list"), "!");
    }
    EXPECT_EQ(read(token + "A", "list"), "!");
    EXPECT_EQ(read(token + token, "list"), "!");
    EXPECT_EQ(read(std::string(100000, 'A'), "list"), "!");
}

TEST_F(page_token, ids_and_sizes)
{
    int64_t after = 7;
    EXPECT_EQ(page_token_read_id(&ctx, "", str_of("x"), &after), OK);
    EXPECT_EQ(after, 0);
    const char *token = page_token_make_id(&a, str_of("x"), INT64_MAX);
    EXPECT_EQ(page_token_read_id(&ctx, token, str_of("x"), &after), OK);
    EXPECT_EQ(after, INT64_MAX);
    EXPECT_EQ(page_token_read_id(&ctx, token, str_of("y"), &after), INVALID_ARGUMENT);
    EXPECT_STREQ(ctx.error.fields->field, "page_token");
    fail_clear(&ctx);
    int32_t n = 0;
    EXPECT_EQ(page_size_read(&ctx, 0, 100, 1000, &n), OK);
    EXPECT_EQ(n, 100);
    EXPECT_EQ(page_size_read(&ctx, 1001, 100, 1000, &n), OK);
    EXPECT_EQ(n, 1000);
    EXPECT_EQ(page_size_read(&ctx, 1, 100, 1000, &n), OK);
    EXPECT_EQ(n, 1);
    EXPECT_EQ(page_size_read(&ctx, -1, 100, 1000, &n), INVALID_ARGUMENT);
}
