// An action with its parameters as a line for curl, the command line, JavaScript and Python. Made from the table alone.

const shell = (text) => (/^[A-Za-z0-9_./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const flag = (name) => `--${name.replaceAll("_", "-")}`;

function python(value) {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${python(item)}`).join(", ")}}`;
  return JSON.stringify(value);
}

const WORDS = new Set(["False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif",
  "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise",
  "return", "try", "while", "with", "yield"]);

/** {curl, CLI, JavaScript, Python}. */
export function linesOf(row, given, origin = location.origin) {
  const parameters = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== null && value !== ""));
  const entries = Object.entries(parameters);
  const javascript = entries.map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join(", ");
  // A parameter that is a word of Python itself is called with an underscore behind it.
  const arguments_ = entries.map(([name, value]) => `${WORDS.has(name) ? `${name}_` : name}=${python(value)}`).join(", ");
  const call = ["edgemere", row.tree === "do" ? "diml.dml.do" : "diml.dml.fmdm", ...row.path].join(".");
  return {
    curl: `curl -X POST ${shell(origin + row.address)} -H 'Content-Type: application/json' -d ${shell(JSON.stringify(parameters))}`,
    CLI: ["edgemere", ...row.words, ...entries.flatMap(([name, value]) => [flag(name), shell(asText(value))])].join(" "),
    JavaScript: `await ${call}(${javascript ? `{${javascript}}` : ""})`,
    Python: `${call}(${arguments_})`,
  };
}
