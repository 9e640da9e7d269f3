"""The 85 papers that the kit re-measures, as data: one row per paper, its chapter, its notebook, its stored verdict.

`title` is the title of the newest version on arXiv (some first appeared there under another one), `short` the
method's name or the paper's nickname, `year` the year of the first version on arXiv, `arxiv` the arXiv identifier (None
where there is none). To add a paper, add a row.
"""

import difflib
import re
from typing import NamedTuple

import pandas as pd

from rlkit import claims, paths

NOT_BUILT = "not yet built"

CHAPTERS = {
    1: "bandits",
    2: "tabular MDPs & exploration",
    3: "offline RL",
    4: "offline-to-online & hybrid",
    5: "model-based RL & world models",
    6: "imitation/IRL & rewards",
    7: "RLHF",
    8: "GRPO/RLVR",
    9: "NSR & pass@k",
    10: "verifiers & rewards",
    11: "self-play/multi-turn agents",
    12: "multimodal & robotics",
    13: "systems",
    14: "sequence models & forecasting",
}

# fmt: off
# number, key, short name, year, arXiv identifier, chapter number, title
_ROWS = (
    (1, "relift", "ReLIFT", 2025, "2506.07527", 8,
     "Learning What Reinforcement Learning Can't: Interleaved Online Fine-Tuning for Hardest Questions"),
    (2, "simplerl-zoo", "SimpleRL-Zoo", 2025, "2503.18892", 8,
     "SimpleRL-Zoo: Investigating and Taming Zero Reinforcement Learning for Open Base Models in the Wild"),
    (3, "conciser", "ConciseR", 2025, "2505.21178", 8,
     "Walk Before You Run! Concise LLM Reasoning via Reinforcement Learning"),
    (4, "rlzero", "RLZero", 2024, "2412.05718", 12,
     "RLZero: Direct Policy Inference from Language Without In-Domain Supervision"),
    (5, "g1", "G1", 2025, "2505.18499", 8,
     "G1: Teaching LLMs to Reason on Graphs with Reinforcement Learning"),
    (6, "vlm-rm", "VLM-RM", 2023, "2310.12921", 10,
     "Vision-Language Models are Zero-Shot Reward Models for Reinforcement Learning"),
    (7, "imagined-dialogue", "Imagined dialogue", 2023, "2311.05584", 11,
     "Zero-Shot Goal-Directed Dialogue via RL on Imagined Conversations"),
    (8, "calm", "CALM", 2024, "2409.12798", 10,
     "Assessing the Zero-Shot Capabilities of LLMs for Action Evaluation in RL"),
    (9, "mt-r1-zero", "MT-R1-Zero", 2025, "2504.10160", 10,
     "MT-R1-Zero: Advancing LLM-based Machine Translation via R1-Zero-like Reinforcement Learning"),
    (10, "vision-r1", "Vision-R1", 2025, "2503.06749", 12,
     "Vision-R1: Incentivizing Reasoning Capability in Multimodal Large Language Models"),
    (11, "cls-rl", "CLS-RL", 2025, "2503.16188", 12,
     "Think or Not Think: A Study of Explicit Thinking in Rule-Based Visual Reinforcement Fine-Tuning"),
    (12, "llm-coordination", "LLM-Coordination", 2023, "2310.03903", 11,
     "LLM-Coordination: Evaluating and Analyzing Multi-agent Coordination Abilities in Large Language Models"),
    (13, "verifree", "VeriFree", 2025, "2505.21493", 10,
     "Reinforcing General Reasoning without Verifiers"),
    (14, "azr", "AZR", 2025, "2505.03335", 11,
     "Absolute Zero: Reinforced Self-play Reasoning with Zero Data"),
    (15, "meta-dt", "Meta-DT", 2024, "2410.11448", 3,
     "Meta-DT: Offline Meta-RL as Conditional Sequence Modeling with World Model Disentanglement"),
    (16, "dual-rl", "Dual RL", 2023, "2302.08560", 3,
     "Dual RL: Unification and New Methods for Reinforcement and Imitation Learning"),
    (17, "writing-zero", "Writing-Zero", 2025, "2506.00103", 10,
     "Writing-Zero: Bridge the Gap Between Non-verifiable Tasks and Verifiable Rewards"),
    (18, "aligndiff", "AlignDiff", 2023, "2310.02054", 7,
     "AlignDiff: Aligning Diverse Human Preferences via Behavior-Customisable Diffusion Model"),
    (19, "limit-of-rlvr", "Limit of RLVR", 2025, "2504.13837", 9,
     "Does Reinforcement Learning Really Incentivize Reasoning Capacity in LLMs Beyond the Base Model?"),
    (20, "clip-delta", "Clip and Delta", 2024, "2410.15115", 10,
     "On Designing Effective RL Reward at Training Time for LLM Reasoning"),
    (21, "one-shot-rlvr", "1-shot RLVR", 2025, "2504.20571", 8,
     "Reinforcement Learning for Reasoning in Large Language Models with One Training Example"),
    (22, "drama", "Drama", 2024, "2410.08893", 5,
     "Drama: Mamba-Enabled Model-Based Reinforcement Learning Is Sample and Parameter Efficient"),
    (23, "rl-era-llm", "RLHF as online IRL", 2023, "2310.06147", 6,
     "Reinforcement Learning in the Era of LLMs: What is Essential? What is needed? "
     "An RL Perspective on RLHF, Prompting, and Beyond"),
    (24, "ss-orl", "SS-ORL", 2022, "2210.06518", 3,
     "Semi-Supervised Offline Reinforcement Learning with Action-Free Trajectories"),
    (25, "nsr", "NSR", 2025, "2506.01347", 9,
     "The Surprising Effectiveness of Negative Reinforcement in LLM Reasoning"),
    (26, "alignment-ceiling", "Alignment Ceiling", 2023, "2311.00168", 7,
     "The Alignment Ceiling: Objective Mismatch in Reinforcement Learning from Human Feedback"),
    (27, "nft", "NFT", 2025, "2505.18116", 9,
     "NFT: Bridging Supervised Learning and Reinforcement Learning in Math Reasoning"),
    (28, "rl-kl-bayes", "KL as Bayes", 2022, "2205.11275", 7,
     "RL with KL penalties is better viewed as Bayesian inference"),
    (29, "edge-of-reach", "RAVL", 2024, "2402.12527", 5,
     "The Edge-of-Reach Problem in Offline Model-Based Reinforcement Learning"),
    (30, "lipschitz-mbrl", "Lipschitz MBRL", 2023, "2302.01244", 5,
     "Is Model Ensemble Necessary? Model-based RL via a Single Model with Lipschitz Regularized Value Function"),
    (31, "a-lol", "A-LoL", 2023, "2305.14718", 7,
     "Leftover Lunch: Advantage-based Offline Reinforcement Learning for Language Models"),
    (32, "tirex", "TiRex", 2025, "2505.23719", 14,
     "TiRex: Zero-Shot Forecasting Across Long and Short Horizons with Enhanced In-Context Learning"),
    (33, "neorl2", "NeoRL-2", 2025, "2503.19267", 3,
     "NeoRL-2: Near Real-World Benchmarks for Offline Reinforcement Learning with Extended Realistic Scenarios"),
    (34, "irl-misspec", "IRL misspecification", 2024, "2403.06854", 6,
     "Quantifying the Sensitivity of Inverse Reinforcement Learning to Misspecification"),
    (35, "wsrl", "WSRL", 2024, "2412.07762", 4,
     "Efficient Online Reinforcement Learning Fine-Tuning Need Not Retain Offline Data"),
    (36, "model-based-gen", "Model-based generalization", 2022, "2211.02222", 5,
     "The Benefits of Model-Based Generalization in Reinforcement Learning"),
    (37, "d5rl", "D5RL", 2024, "2408.08441", 4,
     "D5RL: Diverse Datasets for Data-Driven Deep Reinforcement Learning"),
    (38, "effective-horizon", "SQIRL", 2023, "2312.08369", 2,
     "The Effective Horizon Explains Deep RL Performance in Stochastic Environments"),
    (39, "rum", "RUM", 2024, "2409.05865", 12,
     "Robot Utility Models: General Policies for Zero-Shot Deployment in New Environments"),
    (40, "ft-pedel", "FTPedel", 2022, "2211.04974", 4,
     "Leveraging Offline Data in Online Reinforcement Learning"),
    (41, "glow", "GLOW", 2024, "2401.09681", 4,
     "Harnessing Density Ratios for Online Reinforcement Learning"),
    (42, "pdg-control", "Pretty darn good control", 2023, "2308.13654", 5,
     "Pretty darn good control: when are approximate solutions better than approximate models"),
    (43, "oreal", "OREAL", 2025, "2502.06781", 8,
     "Exploring the Limit of Outcome Reward for Learning Mathematical Reasoning"),
    (44, "losse", "Losse", 2024, "2401.13034", 5,
     "Locality Sensitive Sparse Encoding for Learning World Models Online"),
    (45, "pairwise-rl", "Pairwise-RL", 2025, "2504.04950", 7,
     "A Unified Pairwise Framework for RLHF: Bridging Generative Reward Modeling and Policy Optimization"),
    (46, "hilp", "HILP", 2024, "2402.15567", 3,
     "Foundation Policies with Hilbert Representations"),
    (47, "riql", "RIQL", 2023, "2310.12955", 3,
     "Towards Robust Offline Reinforcement Learning under Diverse Data Corruption"),
    (48, "vlm-offline", "VLM offline RL", 2024, "2411.05273", 10,
     "Real-World Offline Reinforcement Learning from Vision Language Model Feedback"),
    (49, "dred", "DRED", 2024, "2402.03479", 2,
     "DRED: Zero-Shot Transfer in Reinforcement Learning via Data-Regularised Environment Design"),
    (50, "fisor", "FISOR", 2024, "2401.10700", 3,
     "Safe Offline Reinforcement Learning with Feasibility-Guided Diffusion Model"),
    (51, "one-shot-cft", "One-shot CFT", 2025, "2506.03295", 8,
     "Unleashing the Reasoning Potential of Pre-trained LLMs by Critique Fine-Tuning on One Problem"),
    (52, "ac-optimal", "DOUHUA / NOAH", 2025, "2505.03710", 2,
     "Actor-Critics Can Achieve Optimal Sample Efficiency"),
    (53, "archer", "ArCHer", 2024, "2402.19446", 11,
     "ArCHer: Training Language Model Agents via Hierarchical Multi-Turn RL"),
    (54, "codev-r1", "CodeV-R1", 2025, "2505.24183", 8,
     "QiMeng-CodeV-R1: Reasoning-Enhanced Verilog Generation"),
    (55, "acereason", "AceReason-Nemotron", 2025, "2505.16400", 8,
     "AceReason-Nemotron: Advancing Math and Code Reasoning through Reinforcement Learning"),
    (56, "mo-dt", "MO-DT", 2023, "2308.16379", 3,
     "Multi-Objective Decision Transformers for Offline Reinforcement Learning"),
    (57, "vla-rl", "VLA-RL", 2025, "2505.18719", 12,
     "VLA-RL: Towards Masterful and General Robotic Manipulation with Scalable Reinforcement Learning"),
    (58, "jowa", "JOWA", 2024, "2410.00564", 5,
     "Scaling Offline Model-Based RL via Jointly-Optimized World-Action Model Pretraining"),
    (59, "arsq", "ARSQ", 2025, "2502.00288", 4,
     "Learning from Suboptimal Data in Continuous Control via Auto-Regressive Soft Q-Network"),
    (60, "hnpg", "HNPG", 2023, "2311.08384", 4,
     "Offline Data Enhanced On-Policy Policy Gradient with Provable Guarantees"),
    (61, "echo-chamber", "Echo Chamber", 2025, "2504.07912", 8,
     "Echo Chamber: RL Post-training Amplifies Behaviors Learned in Pretraining"),
    (62, "lamo", "LaMo", 2023, "2310.20587", 3,
     "Unleashing the Power of Pre-trained Language Models for Offline Reinforcement Learning"),
    (63, "objective-expressivity", "Objective formalisms", 2023, "2310.11840", 2,
     "On The Expressivity of Objective-Specification Formalisms in Reinforcement Learning"),
    (64, "morec", "MOREC", 2023, "2310.05422", 5,
     "Reward-Consistent Dynamics Models are Strongly Generalizable for Offline Reinforcement Learning"),
    (65, "stitching", "Stitching", 2024, "2401.11237", 3,
     "Closing the Gap between TD Learning and Supervised Learning -- A Generalisation Point of View"),
    (66, "snapshot-rl", "S3RL", 2024, "2403.00673", 4,
     "Snapshot Reinforcement Learning: Leveraging Prior Trajectories for Efficiency"),
    (67, "famo2o", "FamO2O", 2023, "2310.17966", 4,
     "Train Once, Get a Family: State-Adaptive Balances for Offline-to-Online Reinforcement Learning"),
    (68, "hybridflow", "HybridFlow", 2024, "2409.19256", 13,
     "HybridFlow: A Flexible and Efficient RLHF Framework"),
    (69, "stop-regressing", "HL-Gauss", 2024, "2403.03950", 2,
     "Stop Regressing: Training Value Functions via Classification for Scalable Deep RL"),
    (70, "warmup-kk", "K&K warm-up", 2025, "2505.13718", 8,
     "Warm Up Before You Train: Unlocking General Reasoning in Resource-Constrained Settings"),
    (71, "pessimism-lcb", "LCB", 2021, "2103.12021", 1,
     "Bridging Offline Reinforcement Learning and Imitation Learning: A Tale of Pessimism"),
    (72, "open-rl-benchmark", "Open RL Benchmark", 2024, "2402.03046", 13,
     "Open RL Benchmark: Comprehensive Tracked Experiments for Reinforcement Learning"),
    (73, "verifier-pitfalls", "Verifier pitfalls", 2025, "2505.22203", 10,
     "From Accuracy to Robustness: A Study of Rule- and Model-based Verifiers in Mathematical Reasoning"),
    (74, "mbrcsl", "MBRCSL", 2023, "2310.19308", 3,
     "Free from Bellman Completeness: Trajectory Stitching via Model-based Return-conditioned Supervised Learning"),
    (75, "v-ptr", "V-PTR", 2023, "2309.13041", 12,
     "Robotic Offline RL from Internet Videos via Value-Function Pre-Training"),
    (76, "brain", "BRAIn", 2024, "2402.02479", 7,
     "BRAIn: Bayesian Reward-conditioned Amortized Inference for natural language generation from feedback"),
    (77, "rlsp", "RLSP", 2025, "2502.06773", 8,
     "On the Emergence of Thinking in LLMs I: Searching for the Right Intuition"),
    (78, "h2o", "H2O", 2022, "2206.13464", 4,
     "When to Trust Your Simulator: Dynamics-Aware Hybrid Offline-and-Online Reinforcement Learning"),
    (79, "demo-reg", "Demonstration-regularized RL", 2023, "2310.17303", 6,
     "Demonstration-Regularized RL"),
    (80, "mbrl-survey", "MBRL survey", 2022, "2206.09328", 5,
     "A Survey on Model-based Reinforcement Learning"),
    (81, "alignment-asymptotics", "Alignment asymptotics", 2024, "2404.01730", 7,
     "Asymptotics of Language Model Alignment"),
    (82, "dr-po", "DR-PO", 2024, "2404.08495", 7,
     "Dataset Reset Policy Optimization for RLHF"),
    (83, "infopower", "InfoPower", 2022, "2204.08585", 5,
     "INFOrmation Prioritization through EmPOWERment in Visual Model-Based RL"),
    (84, "traj-weighting", "Trajectory weighting", 2023, "2306.13085", 3,
     "Harnessing Mixed Offline Reinforcement Learning Datasets via Trajectory Weighting"),
    (85, "prorl", "ProRL", 2025, "2505.24864", 9,
     "ProRL: Prolonged Reinforcement Learning Expands Reasoning Boundaries in Large Language Models"),
)
# fmt: on


class Paper(NamedTuple):
    """One paper. `key` names its files: data/results/<key>.json, notebooks/<chapter>/<key with underscores>.ipynb."""

    number: int
    key: str
    title: str
    short: str
    year: int
    arxiv: str | None
    chapter: str

    @property
    def notebook(self) -> str | None:
        """The notebook's path relative to the repository, `notebooks/01_bandits/pessimism_lcb.ipynb`.

        None while the notebook does not exist, and always None where there is no checkout (in a wheel), because a
        wheel carries no notebooks. Looked up at each call, so a notebook counts from the moment it is written.
        """
        root = paths.repository()
        if root is None:
            return None
        name = paths.notebook_name(self.key) + ".ipynb"
        found = sorted((root / "notebooks").glob(f"{self.chapter[:2]}_*/{name}"))
        return found[0].relative_to(root).as_posix() if found else None

    @property
    def state(self) -> str:
        """The stored verdict's words (data/results/<key>.json), else "not yet built"."""
        return _stored_verdict(self.key)


PAPERS = tuple(
    Paper(number, key, title, short, year, arxiv, f"{chapter:02d} {CHAPTERS[chapter]}")
    for number, key, short, year, arxiv, chapter, title in _ROWS
)
_BY_KEY = {paper.key: paper for paper in PAPERS}


def _stored_verdict(key: str) -> str:
    try:
        verdict = claims.stored(key)
    except ValueError:  # a damaged or newer file must not hide the other 84 papers; the verdict's own card says why
        return f"unreadable: data/results/{key}.json"
    return NOT_BUILT if verdict is None else verdict.outcome


def find(key: str) -> Paper:
    """The paper with this key, such as "pessimism-lcb".

    Raises ValueError, in one line, that lists the nearest keys; a short name ("LCB"), a file name (underscores) or a
    part of a title leads to its key there.
    """
    if isinstance(key, str) and key in _BY_KEY:
        return _BY_KEY[key]
    wanted = re.sub(r"[\W_]+", "-", str(key).lower()).strip("-")[:200]
    scores = {paper.key: _nearness(wanted, paper) for paper in PAPERS}
    near = [name for name in sorted(scores, key=scores.get, reverse=True)[:4] if scores[name] >= 0.6]
    hint = "near it: " + ", ".join(near) if near else "rlkit.papers.table() lists all 85"
    shown = repr(key) if len(repr(key)) <= 80 else repr(key)[:77] + "..."
    raise ValueError(f"key={shown}: must be a paper's key ({hint})".replace("\n", " "))


def _nearness(wanted: str, paper: Paper) -> float:
    """How alike two names are, 0 to 1: difflib's ratio against key and short name; 0.9 for a part of the title."""
    names = [re.sub(r"[\W_]+", "-", text.lower()).strip("-") for text in (paper.key, paper.short, paper.title)]
    best = max(difflib.SequenceMatcher(None, wanted, name).ratio() for name in names)
    return max(best, 0.9) if len(wanted) >= 3 and any(wanted in name for name in names) else best


def table() -> pd.DataFrame:
    """All papers, one row each, by number: columns number, key, title, year, chapter, state (the stored verdict)."""
    rows = [(p.number, p.key, p.title, p.year, p.chapter, p.state) for p in PAPERS]
    return pd.DataFrame(rows, columns=["number", "key", "title", "year", "chapter", "state"])
