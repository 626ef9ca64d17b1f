"""No module imports itself by a roundabout way: `python -m pytest tests/test_import_circles.py`."""

from graphlib import CycleError, TopologicalSorter

import grimp


def test_imports_run_in_no_circle_deferred_and_typing_ones_included():
    graph = grimp.build_graph("hf_bones", exclude_type_checking_imports=False, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert "hf_bones.images.opening" in imports["hf_bones.collect.examine"]  # the graph is not empty
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        raise AssertionError(f"an import circle: {' ← '.join(error.args[1])}") from None
