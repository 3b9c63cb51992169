/* Who is asking: set_config in front of a caller's statements. */
#include "db/db.sql.h"
#include "db/pool.h"

static const char *
role_name(enum role role)
{
    switch (role) {
    case ROLE_ADMIN:
        return "admin";
    case ROLE_MEMBER:
        return "member";
    case ROLE_DEVICE:
        return "device";
    case ROLE_NONE:
        break;
    }
    return "";
}

bool
conn_send_identity(struct conn *c, int64_t account, enum role role)
{
    char text[24] = "";

    if (c->group_account == account && c->group_role == role)
        return true;
    if (account != 0)
        snprintf(text, sizeof(text), "%lld", (long long)account);
    if (!conn_send_internal(c, &sql_db_identity, DB_ARGS(db_text(text), db_text(role_name(role))),
                            FLIGHT_IDENTITY))
        return false;
    c->group_account = account;
    c->group_role = role;
    pool_count(c->pool, COUNT_IDENTITIES);
    return true;
}
