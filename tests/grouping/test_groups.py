import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffpp_tools.errors import TableError
from ffpp_tools.grouping.groups import (
    identity_edges,
    identity_groups,
    node_categories,
    person_nodes,
    resolve_node,
    shortest_path,
    shortest_paths,
    still_identities,
)
from ffpp_tools.store.tables import read_frames

NO_FAKES = ("Youtube", "Actors", "CelebA", "CelebA-HQ", "Portraits", "Celeb-real", "DFDC-real")


def ledger(*rows):
    """Rows of (category, compression, clip, target, source) and, of stills, the photograph."""
    columns = ["category", "compression", "clip", "target_id", "source_id", "photo"]
    table = pd.DataFrame([(*row, "")[:6] for row in rows], columns=columns).astype("str")
    table["label"] = ["real" if c in NO_FAKES else "fake" for c in table["category"]]
    table["frame_id"] = table["category"] + "/" + table["compression"] + "/" + table["clip"] + "/0"
    return table


def grouped(frames, **known):
    return list(identity_groups(frames, identity_edges(frames, **known)))


def items(*rows):
    return pd.DataFrame(rows, columns=["item", "partner", "kind", "distance"])


def test_a_fake_ties_its_target_to_its_source():
    frames = ledger(
        ("Youtube", "c40", "183", "183", ""),
        ("Youtube", "c40", "253", "253", ""),
        ("Youtube", "c40", "469", "469", ""),
        ("Deepfakes", "c40", "253_183", "253", "183"),
        ("FaceSwap", "c23", "183_253", "183", "253"),
    )
    pair, alone = "Youtube/183", "Youtube/469"
    assert grouped(frames) == [pair, pair, alone, pair, pair]


def test_numbers_of_actors_and_of_videos_are_not_mixed_up():
    frames = ledger(
        ("Youtube", "c40", "013", "013", ""),
        ("Actors", "c40", "013__kitchen_pan", "013", ""),
        ("DeepFakeDetection", "c40", "013_07__kitchen_pan__ABC", "013", "07"),
    )
    actors = "Actors/013__kitchen_pan"
    assert grouped(frames) == ["Youtube/013", actors, actors]


def test_photographs_are_tied_by_identity_and_by_celebas_number():
    frames = ledger(
        ("CelebA", "still", "img/000001", "2880", "", "000001"),
        ("CelebA", "still", "img/000002", "2880", "", "000002"),
        ("CelebA", "still", "img/000003", "17", "", "000003"),
        ("CelebA-HQ", "still", "7", "", "", "000002"),
        ("CelebA-HQ", "still", "8", "", "", "000009"),
        ("Portraits", "still", "000003", "", "", ""),
    )
    first, second, third, same_as_second, own, other = grouped(frames)
    assert first == second == same_as_second
    assert len({first, third, own, other}) == 4


def test_celebas_people_are_known_by_number_though_their_photographs_are_not_there():
    frames = ledger(
        ("CelebA", "still", "000731", "2929", "", "000731"),
        ("CelebA-HQ", "still", "5", "", "", "000055"),
        ("CelebA-HQ", "still", "6", "", "", "000056"),
    )
    first, second, other = grouped(frames, people={"000055": "2929", "000056": "1"})
    assert first == second != other


def test_an_identity_that_comes_with_a_still_is_believed_before_that_of_its_photograph():
    frames = ledger(
        ("CelebA", "still", "000001", "7", "", "000001"),
        ("CelebA-HQ", "still", "5", "", "", "000001"),
        ("CelebA-HQ", "still", "6", "", "", "000009"),
    )
    assert list(still_identities(frames, {"000001": "8"})) == ["CelebA/7", "CelebA/8", ""]


def test_identities_of_two_sets_are_not_mixed_up():
    frames = ledger(("CelebA", "still", "000001", "7", ""), ("Portraits", "still", "a", "7", ""))
    assert len(set(grouped(frames))) == 2


def test_celeb_df_and_dfdc_are_tied_by_their_own_people():
    frames = ledger(
        ("Celeb-real", "native", "id0_0000", "id0", ""),
        ("Celeb-real", "native", "id1_0003", "id1", ""),
        ("Celeb-real", "native", "id2_0000", "id2", ""),
        ("Celeb-synthesis", "native", "id0_id1_0000", "id0", "id1"),
        ("DFDC-real", "native", "abc", "abc", ""),
        ("DFDC-fake", "native", "xyz", "abc", ""),
        ("Youtube", "c23", "000", "000", ""),
        ("YouTube-real", "native", "000", "000", ""),
    )
    a, b, c, fake, dfdc, dfdc_fake, youtube, other_youtube = grouped(frames)
    assert a == b == fake == "Celeb-real/id0_0000"
    assert dfdc == dfdc_fake
    assert len({a, c, dfdc, youtube, other_youtube}) == 5


def test_clips_from_one_youtube_video_are_tied_also_if_only_a_fake_shows_one():
    frames = ledger(
        ("Youtube", "c40", "755", "755", ""),
        ("Deepfakes", "c40", "001_756", "001", "756"),
        ("Youtube", "c40", "002", "002", ""),
    )
    videos = {"755": "AbC", "756": "AbC", "001": "x", "002": "y", "999": "AbC"}
    tied, fake, other = grouped(frames, videos=videos)
    assert tied == fake != other


def test_duplicates_and_embeddings_tie():
    frames = ledger(
        ("CelebA", "still", "1", "", ""),
        ("CelebA", "still", "2", "", ""),
        ("Youtube", "c40", "002", "002", ""),
        ("Youtube", "c40", "003", "003", ""),
    )
    duplicates = items(("CelebA/2", "CelebA/1", "near", 0.1), ("CelebA/1", "", "truncated", 0.0))
    identities = items(("Youtube/002", "CelebA/2", "", 0.35), ("Youtube/003", "", "", float("nan")))
    first, second, clip, other = grouped(frames, duplicates=duplicates, identities=identities)
    assert first == second == clip == "CelebA/1"
    assert other == "Youtube/003"
    tied = identity_edges(frames, duplicates=duplicates, identities=identities)
    assert shortest_path(tied, "CelebA/1", "Youtube/002") == [
        ("CelebA/1", "CelebA/2", "near", "distance 0.1"),
        ("CelebA/2", "Youtube/002", "embedding", "distance 0.35"),
    ]


def test_why_is_the_shortest_chain_and_empty_where_there_is_none():
    frames = ledger(
        ("Deepfakes", "c40", "000_001", "000", "001"),
        ("Deepfakes", "c40", "001_002", "001", "002"),
        ("FaceSwap", "c40", "000_002", "000", "002"),
        ("Youtube", "c40", "009", "009", ""),
    )
    tied = identity_edges(frames)
    chain = shortest_path(tied, "Youtube/000", "Youtube/002")
    assert [step[:3] for step in chain] == [
        ("Youtube/000", "FaceSwap/000_002", "pair"),
        ("FaceSwap/000_002", "Youtube/002", "pair"),
    ]
    assert shortest_path(tied, "Youtube/000", "Youtube/009") == []
    assert shortest_path(tied, "Youtube/000", "Youtube/000") == []


def test_chains_start_from_the_nearest_root_and_are_found_in_one_search():
    links = [("A", "B"), ("B", "C"), ("C", "D"), ("D", "E"), ("X", "Y")]
    tied = pd.DataFrame([(*link, "near", f"by {link[0]}") for link in links])
    tied.columns = ["a", "b", "reason", "detail"]
    to_c, to_d, to_y, to_a, nobody = shortest_paths(tied, ["A", "E"], ["C", "D", "Y", "A", "Z"])
    assert to_c == [("A", "B", "near", "by A"), ("B", "C", "near", "by B")]
    assert to_d == [("E", "D", "near", "by D")]
    assert to_y == to_a == nobody == []
    assert shortest_paths(tied.head(0), ["A"], ["B"]) == [[]]
    assert shortest_paths(tied, [], ["B"]) == [[]]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from("ABCDEFGH"), st.sampled_from("ABCDEFGH")), max_size=12),
    st.lists(st.sampled_from("ABCDEFGH"), min_size=1, max_size=3),
)
def test_a_chain_is_as_short_as_can_be_and_made_of_ties(links, roots):
    tied = pd.DataFrame([(a, b, "near", "") for a, b in links if a != b])
    tied = tied.reindex(columns=range(4)).set_axis(["a", "b", "reason", "detail"], axis=1)
    near = {frozenset(link) for link in links}
    steps, reached = dict.fromkeys(roots, 0), list(roots)
    for one in reached:
        for other in "ABCDEFGH":
            if frozenset((one, other)) in near and other not in steps:
                steps[other] = steps[one] + 1
                reached.append(other)
    for end, chain in zip("ABCDEFGH", shortest_paths(tied, roots, "ABCDEFGH"), strict=True):
        assert len(chain) == steps.get(end, 0)
        if chain:
            assert chain[0][0] in roots
            assert chain[-1][1] == end
            assert all(frozenset(step[:2]) in near for step in chain)
            assert [step[1] for step in chain[:-1]] == [step[0] for step in chain[1:]]


def test_what_ties_and_why_is_told_by_name():
    frames = ledger(
        ("Youtube", "c40", "000", "000", ""),
        ("Youtube", "c40", "001", "001", ""),
        ("Deepfakes", "c40", "000_001", "000", "001"),
        ("Actors", "c40", "01__kitchen", "01", ""),
        ("CelebA", "still", "000001", "7", "", "000001"),
    )
    tied = identity_edges(
        frames,
        videos={"000": "abc", "001": "abc"},
        duplicates=items(("Youtube/001", "Youtube/000", "identical", 0.0)),
        identities=items(("CelebA/000001", "Youtube/000", "", 0.1234)),
    )
    assert {tuple(row) for row in tied.itertuples(index=False)} == {
        ("Deepfakes/000_001", "Youtube/000", "pair", ""),
        ("Deepfakes/000_001", "Youtube/001", "pair", ""),
        ("Actors/01__kitchen", "actor 01", "actor", ""),
        ("CelebA/000001", "identity CelebA/7", "identity", ""),
        ("CelebA/000001", "photograph 000001", "photograph", ""),
        ("Youtube/000", "video abc", "video", ""),
        ("Youtube/001", "video abc", "video", ""),
        ("Youtube/001", "Youtube/000", "identical", "distance 0.0"),
        ("CelebA/000001", "Youtube/000", "embedding", "distance 0.123"),
    }
    assert list(node_categories(tied["a"].tail(1))) == ["CelebA"]
    assert list(person_nodes(frames.iloc[[2, 3]], "target_id")) == ["Youtube/000", "actor 01"]


@pytest.mark.parametrize(
    ("name", "knot"),
    [
        ("Deepfakes/000_001", "Deepfakes/000_001"),
        ("Deepfakes/c40/000_001", "Deepfakes/000_001"),
        ("Deepfakes/c40/000_001/0", "Deepfakes/000_001"),
        ("Deepfakes/c40/000_001/0/2", "Deepfakes/000_001"),
        ("009", "Youtube/009"),
    ],
)
def test_clips_are_found_by_any_of_their_names(name, knot):
    frames = ledger(
        ("Deepfakes", "c40", "000_001", "000", "001"),
        ("FaceSwap", "c40", "000_001", "000", "001"),
        ("Youtube", "c40", "009", "009", ""),
    )
    assert resolve_node(frames, name) == knot
    with pytest.raises(TableError, match=r"2 clips or.*Deepfakes/000_001, FaceSwap/000_001"):
        resolve_node(frames, "000_001")
    with pytest.raises(TableError, match=r"names no clip .*Deepfakes/000_001"):
        resolve_node(frames, "nobody")


@pytest.mark.parametrize("seed", range(3))
def test_groups_do_not_depend_on_the_order_of_the_rows(dataset, seed):
    frames = read_frames(dataset)
    shuffled = frames.sample(frac=1, random_state=seed)
    pd.testing.assert_series_equal(
        identity_groups(shuffled, identity_edges(shuffled)).sort_index(),
        identity_groups(frames, identity_edges(frames)),
    )


people = st.integers(0, 12).map("{:03d}".format)


@settings(deadline=None)
@given(st.lists(st.tuples(people, people), max_size=15), st.lists(st.tuples(people, people)))
def test_groups_are_those_of_a_plain_search(fakes, alike):
    """The components, found here by merging sets until nothing changes."""
    rows = [("Youtube", "c40", f"{n:03d}", f"{n:03d}", "") for n in range(13)]
    rows += [("Deepfakes", "c40", f"{a}_{b}", a, b) for a, b in fakes]
    frames = ledger(*rows)
    identities = items(*((f"Youtube/{a}", f"Youtube/{b}", "", 0.3) for a, b in alike))
    found = dict(zip(frames["clip"], grouped(frames, identities=identities), strict=True))
    sets = [{f"{n:03d}"} for n in range(13)]
    for a, b in [*fakes, *alike]:
        joined = [s for s in sets if s & {a, b}]
        sets = [s for s in sets if s not in joined] + [set().union(*joined)]
    for members in sets:
        names = {found[m] for m in members}
        assert len(names) == 1
        assert names == {f"Youtube/{min(members)}"}
