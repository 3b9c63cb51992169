"use strict";
SwaggerUIBundle({
    url: "/openapi.json",
    domNode: document.getElementById("docs"),
    deepLinking: true,
    displayRequestDuration: true,
    showExtensions: true,
    tryItOutEnabled: false,
    persistAuthorization: true,
    validatorUrl: null,
    defaultModelsExpandDepth: 0,
});
