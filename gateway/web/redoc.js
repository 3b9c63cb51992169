"use strict";
// Redoc's colours are settings: the start page's, by day and by night.
const font = 'system-ui, "Segoe UI", "DejaVu Sans", sans-serif';
const night = {
    ground: "#10131f", side: "#191e30", text: "#e8ebf7", soft: "#a4adc9", line: "#2c3350", link: "#9db6ff",
    code: "#222941", right: "#0b0e18", bad: "#ff8a80", good: "#5fd39b",
};
const day = {
    ground: "#ffffff", side: "#f7f8fc", text: "#1b2033", soft: "#565e78", line: "#dde1ee", link: "#2348b5",
    code: "#eef1f9", right: "#191e30", bad: "#b3261e", good: "#1b7f4b",
};
const c = matchMedia("(prefers-color-scheme: dark)").matches ? night : day;

Redoc.init("/openapi.json", {
    disableSearch: false,
    hideDownloadButton: false,
    jsonSampleExpandLevel: 3,
    showExtensions: true,
    theme: {
        colors: {
            primary: {main: c.link},
            success: {main: c.good},
            error: {main: c.bad},
            text: {primary: c.text, secondary: c.soft},
            border: {dark: c.line, light: c.line},
            responses: {
                success: {color: c.good, backgroundColor: c.code, tabTextColor: night.good},
                error: {color: c.bad, backgroundColor: c.code, tabTextColor: night.bad},
            },
        },
        schema: {nestedBackground: c.side, linesColor: c.line, typeNameColor: c.soft, typeTitleColor: c.soft},
        sidebar: {backgroundColor: c.side, textColor: c.text, activeTextColor: c.link},
        rightPanel: {backgroundColor: c.right, textColor: "#e8ebf7"},
        codeBlock: {backgroundColor: "#222941"},
        typography: {
            fontFamily: font,
            headings: {fontFamily: font},
            code: {color: c.text, backgroundColor: c.code},
            links: {color: c.link, visited: c.link, hover: c.link},
        },
    },
}, document.getElementById("redoc"));
