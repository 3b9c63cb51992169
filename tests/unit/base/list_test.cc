#include <gtest/gtest.h>

#include <vector>

extern "C" {
#include "base/list.h"
}

namespace
{

struct item {
    int value;
    list link;
};

std::vector<int>
values(list *head)
{
    std::vector<int> forward;
    std::vector<int> backward;
    list_foreach (it, head)
        forward.push_back(container_of(it, item, link)->value);
    for (list *it = head->prev; it != head; it = it->prev)
        backward.insert(backward.begin(), container_of(it, item, link)->value);
    EXPECT_EQ(forward, backward);
    return forward;
}

using Values = std::vector<int>;

TEST(List, PushesPopsAndRemoves)
{
    list head;
    item items[4] = {{0, {}}, {1, {}}, {2, {}}, {3, {}}};
    list_init(&head);
    EXPECT_TRUE(list_empty(&head));
    EXPECT_EQ(list_pop(&head), nullptr);
    list_push(&head, &items[1].link);
    list_push(&head, &items[2].link);
    list_push_front(&head, &items[0].link);
    list_push(&head, &items[3].link);
    EXPECT_EQ(values(&head), (Values{0, 1, 2, 3}));
    list_remove(&items[2].link);
    list_remove(&items[2].link); /* harmless */
    EXPECT_EQ(values(&head), (Values{0, 1, 3}));
    EXPECT_EQ(list_pop(&head), &items[0].link);
    EXPECT_TRUE(list_empty(&items[0].link));
    EXPECT_EQ(values(&head), (Values{1, 3}));
}

TEST(List, SplicesToTheEnd)
{
    list a;
    list b;
    item items[4] = {{0, {}}, {1, {}}, {2, {}}, {3, {}}};
    list_init(&a);
    list_init(&b);
    list_splice(&a, &b);
    EXPECT_TRUE(list_empty(&a));
    list_push(&b, &items[0].link);
    list_push(&b, &items[1].link);
    list_splice(&a, &b);
    EXPECT_EQ(values(&a), (Values{0, 1}));
    EXPECT_TRUE(list_empty(&b));
    list_push(&b, &items[2].link);
    list_push(&b, &items[3].link);
    list_splice(&a, &b);
    EXPECT_EQ(values(&a), (Values{0, 1, 2, 3}));
    EXPECT_TRUE(list_empty(&b));
}

TEST(List, SafeWalkMayRemove)
{
    list head;
    item items[4] = {{0, {}}, {1, {}}, {2, {}}, {3, {}}};
    list_init(&head);
    for (item &one : items)
        list_push(&head, &one.link);
    list_foreach_safe (it, tmp, &head) {
        if (container_of(it, item, link)->value % 2)
            list_remove(it);
    }
    EXPECT_EQ(values(&head), (Values{0, 2}));
}

} // namespace
