// Reading descriptor sets: what is found in good ones, and that damaged ones are refused.
#include <gtest/gtest.h>

#include "unit/gateway/codec.h"

namespace
{

TEST(Schema, KnowsServicesMethodsAndTheirComments)
{
    codec::Codec c(codec::read_file(ROUTES));
    ASSERT_EQ(c.schema()->service_count, 3u);
    const struct schema_service *library = c.schema()->services[0];
    EXPECT_STREQ(library->full_name, "luna.testing.Library");
    EXPECT_STREQ(library->comment, "Comments of a service.");
    ASSERT_EQ(library->method_count, 10u);
    EXPECT_STREQ(library->methods[0].path, "/luna.testing.Library/Get");
    EXPECT_STREQ(library->methods[0].comment, "Comments of a method.");
    EXPECT_STREQ(library->methods[0].input->full_name, "luna.testing.GetBook");
    EXPECT_FALSE(library->methods[0].server_streaming);
    EXPECT_TRUE(library->methods[8].server_streaming);
    EXPECT_FALSE(library->methods[8].client_streaming);
}

TEST(Schema, FindsByNameAndNumber)
{
    codec::Codec c(codec::read_file(ROUTES));
    const struct schema_message *m = c.message(".luna.testing.AllTypes");
    ASSERT_NE(m, nullptr);
    EXPECT_EQ(m, c.message("luna.testing.AllTypes"));
    EXPECT_EQ(c.message("luna.testing.AllType"), nullptr);
    EXPECT_EQ(c.message("luna.testing.AllTypesX"), nullptr);
    EXPECT_EQ(c.message(""), nullptr);
    EXPECT_STREQ(m->comment, "Everything.");
    for (uint32_t i = 0; i < m->field_count; i++) {
        const struct schema_field *f = &m->fields[i];
        EXPECT_EQ(schema_field_by_number(m, f->number), f);
        EXPECT_EQ(schema_field_find(m, f->name), f);
        EXPECT_EQ(schema_field_find(m, f->json_name), f);
    }
    EXPECT_EQ(schema_field_by_number(m, 30), nullptr);
    EXPECT_EQ(schema_field_by_number(m, 1u << 28), nullptr);
    const struct schema_enum *e = schema_enum_find(c.schema(), codec::to_str("luna.testing.Color"));
    ASSERT_NE(e, nullptr);
    EXPECT_STREQ(e->values[1].comment, "Red.");
    EXPECT_EQ(schema_value_by_number(e, -5), &e->values[2]);
    EXPECT_EQ(schema_value_by_number(e, 2), nullptr);
}

TEST(Schema, RefusesWhatIsDamaged)
{
    std::string set = codec::read_file(ROUTES);
    struct schema s;
    char err[256];
    size_t refused = 0, step = set.size() / 200 + 1, tried = 0;
    for (size_t n = 0; n < set.size(); n += step, tried++) {
        std::string cut = set.substr(0, n);
        if (schema_load(&s, codec::to_str(cut), err, sizeof(err)))
            schema_fini(&s);
        else
            refused++;
    }
    EXPECT_GT(refused, tried * 9 / 10);
    for (size_t i = 0; i < set.size(); i += step) { // must neither crash nor hang
        std::string damaged = set;
        damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
        if (schema_load(&s, codec::to_str(damaged), err, sizeof(err)))
            schema_fini(&s);
    }
}

} // namespace
