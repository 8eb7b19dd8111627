"""What published packages say of the same models: python explain_referees.py CASES.npz ANSWERS.npz.

It needs shap, captum, lime and torch, and nothing of superpos. Cases hold "W NAME" [n, m], "b
NAME", "x NAME" [B, n] and "rows NAME" [R, n]; answers are "QUANTITY NAME" arrays and "version
PACKAGE" texts.
"""

import importlib.metadata
import sys
import warnings

import captum.attr as captum
import numpy as np
import shap
import torch
from lime.lime_tabular import LimeTabularExplainer

warnings.filterwarnings("ignore")


class Relu(torch.nn.Module):
    """One ReLU layer with the products G = W Wᵀ."""

    def __init__(self, G, b):
        super().__init__()
        self.linear = torch.nn.Linear(len(G), len(G)).double()
        self.linear.weight.data = torch.tensor(G)
        self.linear.bias.data = torch.tensor(b)
        self.relu = torch.nn.ReLU()

    def forward(self, x):
        """Outputs of inputs [B, n]."""
        return self.relu(self.linear(x))


class Reused(torch.nn.Module):
    """Two layers that share one ReLU module."""

    def __init__(self, G, b):
        super().__init__()
        self.first = Relu(G, b)
        self.second = Relu(G, b).linear

    def forward(self, x):
        """Outputs of inputs [B, n]."""
        return self.first.relu(self.second(self.first(x)))


def of_each_output(method, x, n, **options):
    """Attributions [B, k, n] of a method of captum."""
    found = [method.attribute(x, target=i, **options).detach().numpy() for i in range(n)]
    return np.stack(found, axis=1)


def exact(answers, cases, names):
    """shap's enumeration with a background of rows."""
    for name in names:
        G, b = cases[f"W {name}"] @ cases[f"W {name}"].T, cases[f"b {name}"]
        rows = cases[f"rows {name}"]
        masker = shap.maskers.Independent(rows, max_samples=len(rows))
        explainer = shap.explainers.Exact(lambda x, G=G, b=b: np.maximum(x @ G.T + b, 0), masker)
        answers[f"exact {name}"] = explainer(cases[f"x {name}"]).values.transpose(0, 2, 1)


def kernel(answers, cases, name):
    """shap's regression, as it is and without the selection of features, on one row of
    background.
    """
    G, b = cases[f"W {name}"] @ cases[f"W {name}"].T, cases[f"b {name}"]
    explainer = shap.KernelExplainer(lambda x: np.maximum(x @ G.T + b, 0), np.zeros((1, len(G))))
    x = cases[f"x {name}"][:2] + 0.5  # no feature is at its baseline
    coalitions = 2 ** len(G)
    chosen = explainer.shap_values(x, nsamples=coalitions, silent=True)
    everything = explainer.shap_values(x, nsamples=coalitions, l1_reg=False, silent=True)
    answers[f"kernel {name}"] = chosen.transpose(0, 2, 1)
    answers[f"kernel without selection {name}"] = everything.transpose(0, 2, 1)


def gradients(answers, cases, name):
    """captum's and shap's methods by gradients."""
    G, b = cases[f"W {name}"] @ cases[f"W {name}"].T, cases[f"b {name}"]
    model, x, rows = (
        Relu(G, b),
        torch.tensor(cases[f"x {name}"]),
        torch.tensor(cases[f"rows {name}"]),
    )
    n = len(G)
    base = torch.zeros_like(x)
    answers[f"deeplift {name}"] = of_each_output(captum.DeepLift(model), x, n, baselines=base)
    answers[f"deepliftshap {name}"] = of_each_output(
        captum.DeepLiftShap(model), x, n, baselines=rows
    )
    answers[f"ablation {name}"] = of_each_output(captum.FeatureAblation(model), x, n)
    answers[f"input x gradient {name}"] = of_each_output(captum.InputXGradient(model), x, n)
    answers[f"ig {name}"] = of_each_output(captum.IntegratedGradients(model), x, n)
    torch.manual_seed(0)
    answers[f"kernelshap {name}"] = of_each_output(captum.KernelShap(model), x[:2], n)
    answers[f"kernelshap again {name}"] = of_each_output(captum.KernelShap(model), x[:2], n)
    reused = Reused(G, b)
    deep = shap.DeepExplainer(reused, base[:1]).shap_values(x, check_additivity=False)
    answers[f"deep reused {name}"] = np.asarray(deep).transpose(0, 2, 1)
    answers[f"change reused {name}"] = (reused(x) - reused(base)).detach().numpy()
    try:
        of_each_output(captum.DeepLift(reused), x, n, baselines=base)
        answers[f"captum reused {name}"] = np.array("passed")
    except RuntimeError as error:
        answers[f"captum reused {name}"] = np.array(str(error))


def masker(answers, cases, name):
    """How many rows of a large background shap keeps."""
    answers[f"kept {name}"] = np.array(
        len(shap.maskers.Independent(np.tile(cases[f"rows {name}"], (50, 1))).data)
    )


def lime(answers, cases, name):
    """Coefficients [repeats, n] of one input and output, in both forms in which the package keeps
    them.
    """
    G, b = cases[f"W {name}"] @ cases[f"W {name}"].T, cases[f"b {name}"]
    rows, x = cases[f"lime rows {name}"], cases[f"x {name}"][0]
    for samples in (500, 20000):
        found, opposite = [], []
        for seed in range(4):
            explainer = LimeTabularExplainer(
                rows,
                mode="regression",
                discretize_continuous=False,
                feature_selection="none",
                random_state=seed,
            )
            explained = explainer.explain_instance(
                x,
                lambda x: np.maximum(x @ G.T + b, 0)[:, 0],
                num_features=len(G),
                num_samples=samples,
            )
            found.append([value for _, value in sorted(explained.local_exp[1])])
            opposite.append([value for _, value in sorted(explained.local_exp[0])])
        answers[f"lime {samples} {name}"] = np.array(found)
        answers[f"lime opposite {samples} {name}"] = np.array(opposite)


def main(source, target):
    """All answers."""
    cases = dict(np.load(source))
    answers = {}
    for package in ("shap", "captum", "lime"):
        answers[f"version {package}"] = np.array(importlib.metadata.version(package))
    exact(answers, cases, ("n5", "n8", "n12"))
    kernel(answers, cases, "n8")
    kernel(answers, cases, "n12")
    gradients(answers, cases, "n5")
    masker(answers, cases, "n5")
    lime(answers, cases, "n5")
    np.savez(target, **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
