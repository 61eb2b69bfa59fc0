"""Sphinx extension: no page declares the same inline script twice.

sphinx-thebe and sphinx-togglebutton add theirs at an event that jupyter-book fires
twice; a second ``const`` of one name is an error in every page's console. Thebe
itself is not used here: it would load from another host.
"""


def keep_one_of_each(app, pagename, templatename, context, doctree):
    seen, kept = set(), []
    for script in context.get("script_files", []):
        body = getattr(script, "attributes", {}).get("body") or str(script)
        if (
            body not in seen
            and "THEBE_JS_URL" not in body
            and "sphinx-thebe" not in body
        ):
            seen.add(body)
            kept.append(script)
    context["script_files"] = kept


def setup(app):
    app.connect("html-page-context", keep_one_of_each, priority=999)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
