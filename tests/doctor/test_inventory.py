"""What a copy of a dataset holds and lacks."""

from ffpp_tools.doctor.inventory import CROP_BYTES, ClipCheck, ClipSet, check_clips
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.video import demux
from tests.helpers.worlds import PLAN


def test_a_copy_of_ffpp_is_compared_with_what_ffpp_has(copy):
    sources = {s.category: s for s in check_clips(copy, PLAN, workers=2)}
    youtube, fakes = sources["Youtube"], sources["Deepfakes"]
    assert (youtube.expected, len(youtube.clips)) == (1000, 8)
    assert "002" in youtube.missing
    assert "003" not in youtube.missing
    assert len(youtube.missing) == 1000 - 7
    assert [c.clip.name for c in youtube.empty] == ["000"]
    (short,) = youtube.damaged
    assert short.clip.name == "001"
    assert "ends after" in short.error
    assert [p.name for p in youtube.unknown] == ["my favourite.mp4", "003.mp4.part"]
    assert (fakes.missing, fakes.unknown, fakes.empty, fakes.damaged) == ((), (), [], [])


def test_a_fake_that_the_official_splits_name_is_missed(copy):
    (gone,) = sorted((copy / "manipulated_sequences/Deepfakes/c23/videos").glob("000_*.mp4"))
    gone.unlink()
    sources = {s.category: s for s in check_clips(copy, PLAN)}
    assert sources["Deepfakes"].missing == (gone.stem,)


def test_planned_frames_and_their_space_follow_from_the_packets(ffpp):
    sources = check_clips(ffpp, PLAN)
    clip = find_clips(ffpp, ["Youtube"])[0]
    looked = next(c for s in sources for c in s.clips if c.clip == clip)
    assert looked.planned == len(range(0, demux.read_video(clip.path).n_frames, 10))
    assert looked.size == clip.path.stat().st_size
    c40 = ClipSet("Youtube", "c40", (ClipCheck(clip, 1, 7),), 1000, (), ())
    assert c40.crops_size == 7 * CROP_BYTES["c40"]
