"""Streamlit's own words, which it says in English alone. In another language `browser.js` replaces them; what it tells
its programmers, where a reader should be told something, is replaced in every language.

A name in braces stands for anything. A word is replaced only where Streamlit says it, since what a person has called
something must stay as it is.
"""

from __future__ import annotations

from pruning.language import DEFAULT, language, mark, tr

PLACES: dict[str, tuple[str, ...]] = {  # by CSS selector
    "[data-testid=stSelectboxVirtualDropdown], [data-testid=stMultiSelectDropdown]": (
        mark("No results"),
        mark("Select all"),
        mark("Select {n} matches"),
        mark("Add: {name}"),
        mark("Dismiss"),
    ),
    "[data-testid=stSelectbox], [data-testid=stMultiSelect], [data-testid=stNumberInput], [data-testid=stTextInput]": (
        mark("Choose an option"),
        mark("Choose options"),
        mark("Choose or add an option"),
        mark("No options to select"),
        mark("Open"),
        mark("Clear value"),
        mark("Clear all"),
        mark("Clear entry"),
        mark("Selected values"),
        mark("Remove {name}"),
        mark("Increment"),
        mark("Decrement"),
        mark("Press Enter to apply"),
        mark("Press Enter to submit form"),
    ),
    "[data-testid=stFileUploader]": (
        mark("Upload"),
        mark("Add files"),
        mark("file upload"),
        mark("{size} per file"),
        mark("Drag and drop a file here"),
        mark("Drag and drop files here"),
        mark("Remove {name}"),
        mark("Cancel upload of {name}"),
        mark("Click to retry upload"),
        mark("Upload failed"),
        mark("Error: "),
        mark("{kind} files are not allowed."),
        mark("File must be {size} or smaller."),
    ),
    "[data-testid=stElementToolbar], [data-testid=stBaseButton-elementToolbar], [data-testid=stTooltipContent]": (
        mark("Show/hide columns"),
        mark("Download as CSV"),
        mark("Search"),
        mark("Fullscreen"),
        mark("Close fullscreen"),
        mark("Clear selection"),
        mark("Copy to clipboard"),
        mark("Copied"),
        mark("Main menu"),
        mark("Connecting to Streamlit server"),
        mark("Unable to connect to Streamlit server"),
    ),
    "[data-testid=stDataFrameColumnMenu], [data-testid=stDataFrameColumnFormattingMenu]": (
        mark("Dataframe column menu"),
        mark("Copy column name"),
        mark("Sort ascending"),
        mark("Sort descending"),
        mark("Statistics"),
        mark("Format"),
        mark("Autosize"),
        mark("Pin column"),
        mark("Unpin column"),
        mark("Hide column"),
        mark("Automatic"),
        mark("Localized"),
        mark("Plain"),
        mark("Compact"),
        mark("Dollar"),
        mark("Euro"),
        mark("Yen"),
        mark("Percent"),
        mark("Scientific"),
        mark("Accounting"),
        mark("Duration"),
        mark("Distance"),
        mark("Calendar"),
    ),
    "[data-testid=stDataFrameStatisticsMenu]": (
        mark("Statistics"),
        mark("Count"),
        mark("Distinct"),
        mark("Empty"),
        mark("Values"),
        mark("Sum"),
        mark("Average"),
        mark("Median"),
        mark("Minimum"),
        mark("Maximum"),
        mark("Range"),
        mark("Standard deviation"),
        mark("25th percentile"),
        mark("75th percentile"),
        mark("Average length"),
        mark("Minimum length"),
        mark("Maximum length"),
        mark("Based on sample"),
        mark("No data"),
    ),
    "[data-testid=stDataFrameColumnVisibilityMenu] label:first-child": (mark("Select all"),),
    ".gdg-search-bar": (
        mark("Type to search"),
        mark("Previous Result"),
        mark("Next Result"),
        mark("Close Search"),
        mark("{n} results"),
        mark("{n} result"),
    ),
    "[data-testid=stHeader], [data-testid=stMainMenuPopover], [data-testid=stSkipToContent]": (
        mark("Skip to main content"),
        mark("Expand sidebar"),
        mark("Main menu"),
        mark("Running..."),
        mark("Stop"),
        mark("Stopping..."),
        mark("Connecting"),
        mark("Error"),
        mark("Theme"),
        mark("System"),
        mark("Light"),
        mark("Dark"),
        mark("Rerun"),
        mark("Print"),
        mark("Record screen"),
        mark("Stop recording"),
        mark("About"),
        mark("Made with Streamlit v"),
        mark("Copy version to clipboard"),
    ),
    "[data-testid=stDialog]": (mark("Close"),),
    "[data-testid=stSidebar]": (
        mark("Sidebar"),
        mark("Collapse sidebar"),
        mark("App pages"),
        mark("Navigate to home page"),
    ),
    "[data-testid=stTooltipHoverTarget]": (mark("Help for {name}"), mark("Help")),
    "[data-testid=stHeaderActionElements]": (mark("Link to heading"),),
    "[data-testid=stProgress]": (mark("progress"),),
    "kbd": (mark("Shortcut {keys}"),),
    "a": (mark("(opens in new tab)"),),
    "[data-testid=stToastContainer]": (mark("Close"), mark("Notifications")),
    "[data-live-announcer]": (
        mark("{n} options available."),
        mark("{n} option available."),
        mark("{name}, selected"),
    ),
}

OTHERS = {  # meant for programmers: what readers are told, by place
    "[data-testid=stDialog]": {
        "Connection error": mark("Headroom does not answer"),
        "Is Streamlit still running? If you accidentally stopped Streamlit, just restart it in your terminal:": mark(
            "Its server was stopped or cannot be reached. The address of this page says what you see, and History "
            "keeps what was measured. The page goes on by itself when the server is back. To start it where it is "
            "installed:"
        ),
        "streamlit run yourscript.py": "make run",
        "Streamlit server is not responding. Are you connected to the internet?": mark(
            "Its server cannot be reached. Is the network there? The page goes on by itself when it answers again."
        ),
        "Connection timed out.": mark("Its server took too long to answer. The page goes on by itself when it does."),
    }
}


def streamlits_words() -> dict[str, dict[str, str]]:
    """What to say instead, by place; where the reader's language is Streamlit's, little."""
    places = {} if language() == DEFAULT else {place: {text: tr(text) for text in PLACES[place]} for place in PLACES}
    for place, texts in OTHERS.items():
        places[place] = places.get(place, {}) | {theirs: tr(ours) for theirs, ours in texts.items()}
    return places
