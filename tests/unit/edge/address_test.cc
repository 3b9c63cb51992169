#include <gtest/gtest.h>

extern "C" {
#include "edge/address.h"
}

static struct str
S(const char *s) {
    return str_of(s);
}

static struct address_nets
nets(const char *text)
{
    struct address_nets n = {};
    struct str bad = {};
    EXPECT_TRUE(address_nets_parse(S(text), &n, &bad)) << std::string(bad.p ? bad.p : "", bad.n);
    return n;
}

static std::string
client(const struct address_nets &trusted, const char *peer, const char *forwarded)
{
    struct str a = address_of_client(&trusted, S(peer), S(forwarded));
    return std::string(a.p, a.n);
}

TEST(address, networks)
{
    struct address_nets n = nets("127.0.0.0/8, ::1 unix,10.1.2.3,2001:db8::/33");
    EXPECT_EQ(n.count, 5u);
    for (const char *in :
         {"127.0.0.1", "127.255.0.9", "::1", "unix", "10.1.2.3", "2001:db8:7fff::1"})
        EXPECT_TRUE(address_nets_contain(&n, S(in))) << in;
    for (const char *out : {"128.0.0.1", "::2", "10.1.2.4", "2001:db8:8000::1", "", "x", "1.2.3"})
        EXPECT_FALSE(address_nets_contain(&n, S(out))) << out;
    /* IPv4 as IPv6 writes it is the same address. */
    EXPECT_TRUE(address_nets_contain(&n, S("::ffff:127.0.0.1")));
    struct address_nets all = nets("0.0.0.0/0");
    EXPECT_TRUE(address_nets_contain(&all, S("8.8.8.8")));
    EXPECT_FALSE(address_nets_contain(&all, S("2001::1")));
    EXPECT_EQ(nets("").count, 0u);
}

TEST(address, says_which_part_is_wrong)
{
    for (const char *wrong :
         {"127.0.0.0/33", "::/129", "1.2.3.4/", "1.2.3.4/-1", "localhost", "1.2.3.4/8x"}) {
        struct address_nets n;
        struct str bad = {};
        std::string all = std::string("::1,") + wrong;
        EXPECT_FALSE(address_nets_parse(S(all.c_str()), &n, &bad)) << wrong;
        EXPECT_EQ(std::string(bad.p, bad.n), wrong);
    }
    std::string many;
    for (int i = 0; i <= ADDRESS_MAX_NETS; i++)
        many += "::1,";
    struct address_nets n;
    struct str bad = {};
    EXPECT_FALSE(address_nets_parse(S(many.c_str()), &n, &bad));
}

TEST(address, of_the_client)
{
    struct address_nets t = nets("127.0.0.0/8,10.0.0.0/8");
    EXPECT_EQ(client(t, "9.9.9.9", "1.1.1.1"), "9.9.9.9"); /* not a proxy: not believed */
    EXPECT_EQ(client(t, "127.0.0.1", ""), "127.0.0.1");
    EXPECT_EQ(client(t, "127.0.0.1", "1.1.1.1"), "1.1.1.1");
    /* The caller wrote 6.6.6.6 himself; the first proxy saw 1.1.1.1. */
    EXPECT_EQ(client(t, "127.0.0.1", "6.6.6.6, 1.1.1.1 ,10.0.0.7"), "1.1.1.1");
    EXPECT_EQ(client(t, "127.0.0.1", "10.0.0.1,10.0.0.2"), "10.0.0.1");
    EXPECT_EQ(client(t, "127.0.0.1", "rubbish"), "127.0.0.1");
    EXPECT_EQ(client(t, "127.0.0.1", "1.1.1.1,"), "127.0.0.1");
    EXPECT_EQ(client(t, "127.0.0.1", "2001:db8::5"), "2001:db8::5");
}

TEST(address_limit, lets_so_many_fail_in_a_minute)
{
    struct address_limit *l = address_limit_new(10);
    nsec_t now = SEC(1000);
    nsec_t wait = 0;
    for (int i = 0; i < 10; i++) {
        EXPECT_TRUE(address_limit_allows(l, S("1.2.3.4"), now, &wait)) << i;
        address_limit_count(l, S("1.2.3.4"), now);
    }
    ASSERT_FALSE(address_limit_allows(l, S("1.2.3.4"), now, &wait));
    EXPECT_EQ(wait, SEC(6)); /* one every six seconds */
    EXPECT_TRUE(address_limit_allows(l, S("1.2.3.5"), now, &wait));
    EXPECT_FALSE(address_limit_allows(l, S("1.2.3.4"), now + SEC(6) - 1, &wait));
    EXPECT_EQ(wait, 1);
    EXPECT_TRUE(address_limit_allows(l, S("1.2.3.4"), now + SEC(6), &wait));
    /* Whoever goes on failing is not shut out for ever. */
    for (int i = 0; i < 1000; i++)
        address_limit_count(l, S("1.2.3.4"), now);
    EXPECT_TRUE(address_limit_allows(l, S("1.2.3.4"), now + SEC(6), &wait));
    EXPECT_TRUE(address_limit_allows(l, S("1.2.3.4"), now + SEC(61), &wait));
    address_limit_free(l);
}

TEST(address_limit, ipv6_counts_by_its_64)
{
    struct address_limit *l = address_limit_new(2);
    nsec_t now = SEC(1000);
    nsec_t wait;
    address_limit_count(l, S("2001:db8:0:1::1"), now);
    address_limit_count(l, S("2001:db8:0:1:ffff::2"), now);
    EXPECT_FALSE(address_limit_allows(l, S("2001:db8:0:1::3"), now, &wait));
    EXPECT_TRUE(address_limit_allows(l, S("2001:db8:0:2::1"), now, &wait));
    address_limit_free(l);
}

TEST(address_limit, a_flood_from_many_addresses_stays_bounded)
{
    struct address_limit *l = address_limit_new(2);
    nsec_t now = SEC(1000);
    nsec_t wait;
    for (int i = 0; i < 100000; i++) {
        char a[32];
        snprintf(a, sizeof(a), "%d.%d.%d.9", 1 + i / 65536, (i / 256) % 256, i % 256);
        address_limit_count(l, S(a), now + i);
    }
    /* The one that fails most is remembered best. */
    for (int i = 0; i < 3; i++)
        address_limit_count(l, S("9.9.9.9"), now + 100000);
    EXPECT_FALSE(address_limit_allows(l, S("9.9.9.9"), now + 100000, &wait));
    address_limit_free(l);
}
