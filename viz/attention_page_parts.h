// The fixed parts of attention_page.h's page. Internal to viz/.
#pragma once

namespace heed::viz {

extern const char* const kPageBegin;   // up to the <title>
extern const char* const kPageStyle;   // <style>
extern const char* const kPageBody;    // controls and the empty table
extern const char* const kPageScript;  // <script>: fills them from the element `data`

}  // namespace heed::viz
