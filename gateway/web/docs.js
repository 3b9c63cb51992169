"use strict";
// Swagger UI has colours for the dark, and a class that asks for them.
const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

SwaggerUIBundle({
    url: "/openapi.json",
    domNode: document.getElementById("docs"),
    deepLinking: true,
    displayRequestDuration: true,
    filter: true,
    showExtensions: true,
    tryItOutEnabled: false,
    persistAuthorization: true,
    validatorUrl: null,
    defaultModelsExpandDepth: 0,
});
