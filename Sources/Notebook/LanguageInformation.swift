// How notebooks and the Jupyter kernel name Lull.
//
// The language is Python, of which Lull's is a strict subset: that is what makes the parameters of
// papermill, Jupytext and every highlighter work. Lull itself is the implementation.

import Formats

/// `metadata.kernelspec` of a notebook.
public var kernelSpecification: JSON {
  ["display_name": "Lull", "language": "python", "name": "lull"]
}

/// `metadata.language_info` of a notebook, `language_info` of the kernel.
public var languageInformation: JSON {
  [
    "codemirror_mode": ["name": "python"], "file_extension": ".py", "mimetype": "text/x-python",
    "name": "python", "pygments_lexer": "python", "version": "3.12",
  ]
}
