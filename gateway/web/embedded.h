/* The files of this folder, and the fetched ones, as bytes in the program. */
#ifndef LUNA_GATEWAY_WEB_EMBEDDED_H
#define LUNA_GATEWAY_WEB_EMBEDDED_H

#include <stddef.h>

#define EMBEDDED(name)                 \
    extern const unsigned char name[]; \
    extern const size_t name##_size;

EMBEDDED(web_examples_json)
EMBEDDED(web_index_html)
EMBEDDED(web_docs_html)
EMBEDDED(web_redoc_html)
EMBEDDED(web_luna_css)
EMBEDDED(web_frame_css)
EMBEDDED(web_status_js)
EMBEDDED(web_docs_js)
EMBEDDED(web_redoc_js)
EMBEDDED(web_luna_svg)

#ifdef LUNA_WEB_ASSETS /* by fetch.sh; x_gz: compressed */
EMBEDDED(web_swagger_ui_css)
EMBEDDED(web_swagger_ui_css_gz)
EMBEDDED(web_swagger_ui_bundle_js)
EMBEDDED(web_swagger_ui_bundle_js_gz)
EMBEDDED(web_redoc_standalone_js)
EMBEDDED(web_redoc_standalone_js_gz)
EMBEDDED(web_licenses_txt)
EMBEDDED(web_licenses_txt_gz)
#endif

#undef EMBEDDED

#endif
