"""Params files: flat YAML whose keys are the parameters of notebooks, checked before anything runs.

    notebooks: [01_prepare_papers, 02_inference]  # names in notebooks/, or paths of .ipynb files
    seed: 42                                      # goes to every notebook of the list that has this parameter
    02_inference.limit: 3                         # goes to this one alone

Refused by name: keys that no notebook has, values of a wrong type, duplicate keys, secrets.
"""

import ast
import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sciqag_lib.errors import InputError
from sciqag_lib.paths import resolve_path

OWN_KEYS = ("notebooks", "run_dir")
SECRET_KEY = re.compile(r"(^|_)(api_?key|access_?key|token|secret|password)$", re.IGNORECASE)
SECRET_VALUE = re.compile(r"(sk-|hf_)[A-Za-z0-9_-]{16,}")
TEXT_NUMBER = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+")  # a number to everyone but YAML 1.1


class ParamsError(InputError):
    """A params file that cannot be run; the message has one line for each thing that is wrong with it."""


@dataclass
class Step:
    """One notebook of the chain."""

    name: str
    path: Path
    known: dict[str, dict[str, str]]  # papermill's parameters: name -> inferred_type_name, default (source), help
    main_output: str  # file name in its output_dir, "" where it declares none
    parameters: dict[str, Any] = field(default_factory=dict)  # what the params file gives it


class _UniqueKeyLoader(yaml.SafeLoader):
    """yaml.SafeLoader that refuses duplicate keys, where YAML silently takes the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if key in seen:
                raise ParamsError(f"the key {key!r} is on line {seen[key]} and again on line {line}; keep one")
            seen[key] = line
        return super().construct_mapping(node, deep)


def load_params(path: Path) -> dict[str, Any]:
    """The file's keys and values, without its secrets: they are refused. ParamsError names what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
        params = yaml.load(text, Loader=_UniqueKeyLoader)  # a SafeLoader
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParamsError(f"{path}: expected a YAML file: {error}") from None
    except ParamsError as error:
        raise ParamsError(f"{path}: {error}") from None
    if not isinstance(params, dict) or not all(isinstance(key, str) for key in params):
        raise ParamsError(f"{path}: expected lines of `key: value`, found {type(params).__name__}")
    for key, value in params.items():
        if SECRET_KEY.search(key) or isinstance(value, str) and SECRET_VALUE.match(value):
            raise ParamsError(
                f"{path}: {key!r} looks like a secret, and a params file is no place for one: remove it and "
                "set the environment variable OPENAI_API_KEY"
            )
    return params


def check_params(params: dict[str, Any], path: Path) -> list[Step]:
    """The notebooks of the file, each with the parameters that the file gives it. Raises ParamsError with every
    key that no notebook has and every value of a wrong type; `path` only serves the messages."""
    names = params.get("notebooks")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ParamsError(f"{path}: expected `notebooks:` with a list of names, found {names!r}")
    if not isinstance(params.get("run_dir", ""), str):
        raise ParamsError(f"{path}: run_dir: expected a folder, found {params['run_dir']!r}")
    steps = [open_notebook(name) for name in names]
    if len({step.name for step in steps}) < len(steps):
        raise ParamsError(f"{path}: notebooks: a name appears twice in {', '.join(names)}")
    problems: list[str] = []
    # Keys of one notebook come last, so that they win over the same key given to all.
    for key in sorted((key for key in params if key not in OWN_KEYS), key=lambda key: "." in key):
        step_name, dot, parameter = key.rpartition(".")
        takers = [step for step in steps if parameter in step.known and (not dot or step.name == step_name)]
        if not takers:
            problems.append(_describe_unknown(key, steps))
        for step in takers:
            step.parameters[parameter] = params[key]
            problems += _check_type(key, params[key], step)
    if problems:
        raise ParamsError("\n".join(f"{path}: {problem}" for problem in dict.fromkeys(problems)))
    return steps


def open_notebook(name: str) -> Step:
    """The notebook of that name in notebooks/, or at that path, with its parameters as papermill finds them."""
    import nbformat
    import papermill

    path = resolve_path(name if name.endswith(".ipynb") else f"notebooks/{name}.ipynb")
    if not path.is_file():
        there = sorted(found.stem for found in path.parent.glob("*.ipynb"))
        raise ParamsError(f"no notebook {name!r} at {path}{_nearest(path.stem, there)}; there are: {', '.join(there)}")
    metadata = nbformat.read(path, as_version=4).metadata
    return Step(path.stem, path, papermill.inspect_notebook(path), metadata.get("sciqag", {}).get("main_output", ""))


def _describe_unknown(key: str, steps: list[Step]) -> str:
    known = sorted({name for step in steps for name in step.known})
    qualified = [f"{step.name}.{name}" for step in steps for name in sorted(step.known)]
    nearest = _nearest(key, qualified if "." in key else [*known, *OWN_KEYS])
    return f"no notebook of the list has the parameter {key!r}{nearest}; known: {', '.join(known)}"


def _nearest(word: str, choices: list[str]) -> str:
    found = difflib.get_close_matches(word, choices, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


SIMPLE_TYPES = {"str": str, "int": int, "float": (int, float), "bool": bool, "list": list, "dict": dict}


def _check_type(key: str, value: Any, step: Step) -> list[str]:
    parameter = step.known[key.rpartition(".")[2]]
    type_name, default = parameter["inferred_type_name"], _read_default(parameter["default"])
    if type_name == "None":  # papermill's word for: no annotation
        type_name = "Any" if default is None else type(default).__name__
    annotation = ast.parse(type_name, mode="eval").body
    is_number = isinstance(value, str) and TEXT_NUMBER.fullmatch(value)
    if is_number and (type_name == "Any" or not _is_type(value, annotation)):
        return [f"{key}: {value!r} is text to YAML; write a number with a point and a signed exponent, as in 1.0e-5"]
    if _is_type(value, annotation):
        return []
    return [f"{key}: expected {type_name} ({step.name} has {parameter['default']}), found {value!r}"]


def _read_default(source: str) -> Any:
    try:
        return ast.literal_eval(source)
    except (ValueError, SyntaxError):
        return None


def _is_type(value: Any, annotation: ast.expr) -> bool:
    """Whether a YAML value fits an annotation such as Optional[int]; one that is not understood fits all."""
    if isinstance(annotation, ast.Constant):
        return value is None  # of Union[int, None]
    if isinstance(annotation, ast.Name):
        expected = SIMPLE_TYPES.get(annotation.id.lower() if annotation.id in ("List", "Dict") else annotation.id)
        if isinstance(value, bool) and expected is not bool:  # a bool is an int to Python
            return expected is None
        return expected is None or isinstance(value, expected)
    if not isinstance(annotation, ast.Subscript) or not isinstance(annotation.value, ast.Name):
        return True
    inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    name = annotation.value.id
    if name in ("Optional", "Union"):
        return name == "Optional" and value is None or any(_is_type(value, choice) for choice in inner)
    if name in ("list", "List"):
        return isinstance(value, list) and all(_is_type(item, inner[0]) for item in value)
    return isinstance(value, dict) if name in ("dict", "Dict") else True
