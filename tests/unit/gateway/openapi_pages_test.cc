// The pages: content types, tags, the compressed form, and that none names another host.
#include <gtest/gtest.h>
#include <zlib.h>

#include <set>

extern "C" {
#include "gateway/web/html.h"
#include "gateway/web/web.h"
#include "luna/descriptors.h"
}

#include "unit/gateway/codec.h"

namespace
{

class Pages : public testing::Test
{
  protected:
    static void SetUpTestSuite()
    {
        char err[512] = "";
        struct str set = {reinterpret_cast<const char *>(luna_descriptor_set_with_source),
                          luna_descriptor_set_with_source_size};
        ASSERT_TRUE(schema_load(&schema_, set, err, sizeof(err))) << err;
        ASSERT_TRUE(route_table_init(&routes_, &schema_, err, sizeof(err))) << err;
        web_ = web_new(&schema_, &routes_, set, JSON_EMIT_PRIMITIVE, err, sizeof(err));
        ASSERT_TRUE(web_) << err;
    }
    static void TearDownTestSuite()
    {
        web_free(web_);
        route_table_fini(&routes_);
        schema_fini(&schema_);
    }
    static const struct web_page *find(const std::string &path)
    {
        return web_find(web_, codec::to_str(path));
    }
    static std::string text(const std::string &path)
    {
        const struct web_page *p = find(path);
        return p ? std::string(p->body.p, p->body.n) : "";
    }

    static inline struct schema schema_;
    static inline struct route_table routes_;
    static inline struct web *web_;
};

std::string
unpack(struct str packed, size_t size)
{
    std::string out(size + 1, 0);
    z_stream z = {};
    inflateInit2(&z, 15 + 16);
    z.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(packed.p));
    z.avail_in = static_cast<uInt>(packed.n);
    z.next_out = reinterpret_cast<Bytef *>(out.data());
    z.avail_out = static_cast<uInt>(out.size());
    int end = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return end == Z_STREAM_END ? out.substr(0, z.total_out) : "";
}

// What src, href and url() of a page load.
std::set<std::string>
loads(const std::string &html)
{
    std::set<std::string> found;
    for (const char *attribute : {"src=\"", "href=\"", "url(\""})
        for (size_t at = 0; (at = html.find(attribute, at)) != std::string::npos;) {
            at += strlen(attribute);
            found.insert(html.substr(at, html.find('"', at) - at));
        }
    return found;
}

const char *const html_pages[] = {"/", "/docs", "/redoc", "/reference"};

TEST_F(Pages, ArePagesOfTheirType)
{
    for (const char *path : html_pages) {
        const struct web_page *p = find(path);
        ASSERT_TRUE(p) << path;
        EXPECT_STREQ(p->content_type, "text/html; charset=utf-8");
        ASSERT_TRUE(p->policy) << path;
        EXPECT_EQ(std::string(p->policy).find("default-src 'none'"), 0u);
        EXPECT_EQ(std::string(p->policy).find("http"), std::string::npos);
        EXPECT_NE(text(path).find("<html lang=\"en\">"), std::string::npos);
        EXPECT_NE(text(path).find("</html>"), std::string::npos);
    }
    EXPECT_STREQ(find("/openapi.json")->content_type, "application/json");
    EXPECT_EQ(find("/nothing"), nullptr);
    EXPECT_EQ(find("/docs/"), find("/docs"));
    EXPECT_EQ(find("/docs//"), nullptr);
    EXPECT_EQ(find("/doc"), nullptr);
    EXPECT_EQ(find(""), nullptr);
}

TEST_F(Pages, LoadOnlyWhatIsHere)
{
    const std::set<std::string> elsewhere = {"/metrics", "/healthz", "/readyz"};
    for (const char *page : html_pages) {
        EXPECT_EQ(text(page).find("<style"), std::string::npos) << page;
        EXPECT_EQ(text(page).find("//"), text(page).find("//# ")) << page;
        for (std::string target : loads(text(page))) {
            target = target.substr(0, target.find('#'));
            EXPECT_EQ(target[0], '/') << page << " loads " << target;
            EXPECT_TRUE(find(target) || elsewhere.count(target)) << page << ": " << target;
        }
    }
    EXPECT_EQ(text("/assets/luna.css").find("url("), std::string::npos);
}

TEST_F(Pages, TheCompressedFormIsTheSame)
{
    for (const char *path : {"/", "/docs", "/redoc", "/reference", "/openapi.json",
                             "/assets/luna.css", "/assets/swagger-ui-bundle.js",
                             "/assets/redoc.standalone.js", "/assets/swagger-ui.css"}) {
        const struct web_page *p = find(path);
        if (!p || p->gzip.n == 0)
            continue;
        EXPECT_LT(p->gzip.n, p->body.n) << path;
        EXPECT_TRUE(unpack(p->gzip, p->body.n) == text(path)) << path;
        EXPECT_STRNE(p->etag, p->etag_gzip);
    }
    EXPECT_GT(find("/openapi.json")->gzip.n, 0u);
}

TEST_F(Pages, TagsAreOfTheBytes)
{
    std::set<std::string> tags;
    for (const char *path : {"/", "/reference", "/openapi.json", "/assets/luna.css"}) {
        std::string tag = find(path)->etag;
        EXPECT_EQ(tag.size(), 18u);
        EXPECT_EQ(tag.front(), '"');
        EXPECT_TRUE(tags.insert(tag).second) << path;
    }
}

TEST_F(Pages, ShowWhatIsServed)
{
    EXPECT_EQ(text("/").find('@'), std::string::npos);
    EXPECT_NE(text("/").find("/reference#KalmanService"), std::string::npos);
    std::string reference = text("/reference");
    EXPECT_NE(reference.find("/api/v1/{account_id}/kalman"), std::string::npos);
    EXPECT_NE(reference.find("id=\"KalmanService.Filter\""), std::string::npos);
    EXPECT_NE(reference.find("curl -s"), std::string::npos);
    EXPECT_NE(reference.find("observation_variance"), std::string::npos);
    EXPECT_EQ(reference.find("grpc.health"), std::string::npos);
}

TEST(Html, TextDoesNotAct)
{
    struct buf b;
    buf_init(&b, 1000);
    html_text(&b, STR("<a href='x' b=\"y\">&amp;"));
    EXPECT_STREQ(b.data, "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;amp;");
    buf_fini(&b);
}

TEST(Html, CommentsAreParagraphs)
{
    struct buf b;
    buf_init(&b, 1000);
    html_comment(&b, STR("One\ntwo <x>.\n\n  a = b\n  c\n\nThree."));
    EXPECT_STREQ(b.data, "<p>One\ntwo &lt;x&gt;.</p>\n<pre>  a = b\n  c</pre>\n<p>Three.</p>\n");
    buf_clear(&b);
    html_comment(&b, STR(""));
    EXPECT_EQ(b.len, 0u);
    buf_fini(&b);
}

} // namespace
