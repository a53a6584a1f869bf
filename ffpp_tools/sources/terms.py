"""Terms of use of the datasets that this package reads, and the papers that describe them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ffpp_tools.markdown import Markdown


@dataclass(frozen=True)
class Terms:
    """Terms of use of a dataset; docs/data.md has details."""

    dataset: str
    url: str
    categories: tuple[str, ...]
    text: Markdown
    citation: str  # BibTeX


TERMS = (
    Terms(
        "FaceForensics++",
        "https://github.com/ondyari/FaceForensics",
        (
            *("Youtube", "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"),
            *("FaceShifter", "DeepFakeDetection", "Actors"),
        ),
        Markdown(
            "the FaceForensics Terms of Use, to which everyone who requests the data must agree "
            "(<https://github.com/ondyari/FaceForensics>)"
        ),
        "@inproceedings{roessler2019faceforensicspp, title={FaceForensics++: Learning to Detect "
        "Manipulated Facial Images}, author={Rössler, Andreas and Cozzolino, Davide and Verdoliva, "
        "Luisa and Riess, Christian and Thies, Justus and Nießner, Matthias}, booktitle={ICCV}, "
        "year={2019}}",
    ),
    Terms(
        "CelebA, and CelebA-HQ, which is derived from it",
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        ("CelebA", "CelebA-HQ"),
        Markdown(
            "non-commercial research only; no portion of the dataset may be copied further, "
            "published or distributed (<https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html>)"
        ),
        "@inproceedings{liu2015faceattributes, title={Deep Learning Face Attributes in the Wild}, "
        "author={Liu, Ziwei and Luo, Ping and Wang, Xiaogang and Tang, Xiaoou}, booktitle={ICCV}, "
        "year={2015}}\n"
        "@inproceedings{karras2018progressive, title={Progressive Growing of GANs for Improved "
        "Quality, Stability, and Variation}, author={Karras, Tero and Aila, Timo and Laine, Samuli "
        "and Lehtinen, Jaakko}, booktitle={ICLR}, year={2018}}",
    ),
    Terms(
        "Celeb-DF",
        "https://github.com/yuezunli/celeb-deepfakeforensics",
        ("Celeb-real", "YouTube-real", "Celeb-synthesis"),
        Markdown(
            "the Terms to Use Celeb-DF, which come with its request form "
            "(<https://github.com/yuezunli/celeb-deepfakeforensics>)"
        ),
        "@inproceedings{li2020celebdf, title={Celeb-DF: A Large-scale Challenging Dataset for "
        "DeepFake Forensics}, author={Li, Yuezun and Yang, Xin and Sun, Pu and Qi, Honggang and "
        "Lyu, Siwei}, booktitle={CVPR}, year={2020}}",
    ),
    Terms(
        "the Deepfake Detection Challenge",
        "https://ai.facebook.com/datasets/dfdc",
        ("DFDC-real", "DFDC-fake"),
        Markdown("the terms accepted on download (<https://ai.facebook.com/datasets/dfdc>)"),
        "@article{dolhansky2020dfdc, title={The DeepFake Detection Challenge (DFDC) Dataset}, "
        "author={Dolhansky, Brian and Bitton, Joanna and Pflaum, Ben and Lu, Jikuo and Howes, Russ "
        "and Wang, Menglin and Canton Ferrer, Cristian}, journal={arXiv:2006.07397}, year={2020}}",
    ),
    Terms(
        "140k real and fake faces",
        "https://github.com/NVlabs/ffhq-dataset",
        ("140k-real", "140k-fake"),
        Markdown(
            "FFHQ, its real faces, is CC BY-NC-SA 4.0 (<https://github.com/NVlabs/ffhq-dataset>); "
            "StyleGAN, which generated its fakes, is CC BY-NC 4.0 "
            "(<https://github.com/NVlabs/stylegan>); its own page may have further terms"
        ),
        "@inproceedings{karras2019style, title={A Style-Based Generator Architecture for "
        "Generative Adversarial Networks}, author={Karras, Tero and Laine, Samuli and Aila, Timo}, "
        "booktitle={CVPR}, year={2019}}",
    ),
)


def terms_of(categories: Collection[str]) -> tuple[Terms, ...]:
    """Return the terms of the datasets that have one of these categories."""
    return tuple(terms for terms in TERMS if not set(categories).isdisjoint(terms.categories))


def without_terms(categories: Iterable[str]) -> tuple[str, ...]:
    """Return the categories whose dataset, and so whose terms, are not known here."""
    known = {name for terms in TERMS for name in terms.categories}
    return tuple(name for name in categories if name not in known)
